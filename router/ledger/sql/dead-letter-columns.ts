/** The columns of a dead letter, for all SQL engines. */
import type { StoredDeadLetter } from '../maintenance.ts';
import type { DeadLetter } from '../types.ts';

const DETAIL_CHARACTERS_MAX = 500;

/** Bounds a text that may quote the input (I10). */
export function cutDetail(detail: string): string {
  return detail.slice(0, DETAIL_CHARACTERS_MAX);
}

/** A row for writing; a row that is read has its id and size too. */
interface Columns extends Omit<Required<DeadLetter>, 'properties' | 'gateway'> {
  /** JSON. */
  properties: string;
  /** Empty where nothing proves the gateway. */
  gateway: string;
}

/** A row that is read. */
export type DeadLetterRow = Omit<Columns, 'gateway'> & Pick<StoredDeadLetter, 'id' | 'sizeBytes'>;

export function columnsOf(letter: DeadLetter): Columns {
  const { source, reason, detail, bytes, receivedWallMs } = letter;
  const { authenticatedGateway = null, properties: said = {} } = letter;
  const gateway = letter.gateway ?? '';
  const columns = { source, reason, bytes, receivedWallMs, authenticatedGateway, gateway };
  return { ...columns, detail: cutDetail(detail), properties: JSON.stringify(said) };
}

export function storedFrom({ properties: text, ...row }: DeadLetterRow): StoredDeadLetter {
  return { ...row, properties: propertiesFrom(text) };
}

/** By hand: a schema's library would take longer to load than the ledger's thread to start. */
function propertiesFrom(text: string): Record<string, string> {
  const value: unknown = JSON.parse(text);
  if (typeof value !== 'object' || value === null)
    throw new Error('the properties of a dead letter are lost');
  return Object.fromEntries(Object.entries(value).map(([name, said]) => [name, String(said)]));
}
