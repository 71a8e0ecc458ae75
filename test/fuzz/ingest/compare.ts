/** The ledger at the end: what was valid, each once, and beside it every version that lost against it. */
import type { Ledger } from '../../../router/ledger/ledger.ts';

export interface Expected {
  /** Records: stream/seq and payload. */
  valid: ReadonlySet<string>;
  /** Records that came under the id of a valid one, without a signature. */
  raced: number;
}

/** The number of records; `problem` is called for each that should not be there, or is not. */
export async function compareRecords(
  ledger: Ledger,
  { valid, raced }: Expected,
  problem: (text: string) => void,
): Promise<number> {
  const missing = new Set(valid);
  let records = 0;
  for (let after = 0; ; ) {
    const page = await ledger.read(after, 1000);
    for (const { gateway, stream, seq, payload } of page) {
      const name = `${stream}/${seq}=${Buffer.from(payload)}`;
      if (gateway !== 'gw-1' || !missing.delete(name))
        problem(`in the ledger, and not sent so: ${gateway} ${name}`);
    }
    records += page.length;
    after = page.at(-1)?.offset ?? 0;
    if (after === 0) break;
  }
  if (missing.size > 0)
    problem(`${missing.size} valid records are not in the ledger, such as ${[...missing][0]}`);
  const { problemCount } = await ledger.verify();
  const { conflicts } = await ledger.totals();
  if (problemCount > 0) problem(`${problemCount} problems in the ledger`);
  if (conflicts !== raced) problem(`${conflicts} conflicts, where ${raced} records were forged`);
  for (const { stream, seq, held, other } of await ledger.conflicts(raced + 1)) {
    const texts = [held, other].map(({ payload }) => Buffer.from(payload).toString());
    if (texts[0] === FORGED || texts[1] !== FORGED) problem(`${stream}/${seq}: ${texts.join(', aside ')}`);
  }
  return records;
}

/** The payload of a forged version. */
export const FORGED = 'forged';
