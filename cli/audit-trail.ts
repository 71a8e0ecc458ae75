/** The audit entries of a gateway that came into the ledger as records of the stream `_audit`. */
import { loadLedgerToolConfig } from '../router/config.ts';
import { AUDIT_STREAM } from '../shared/audit/audit-log.ts';
import { formatProblems } from '../shared/config/load.ts';
import { EXIT, type ExitCode } from '../shared/exit-codes.ts';
import { fail } from './output.ts';
import { withProgress } from './progress.ts';
import { ledgerText, noLedger, withLedger } from './with-ledger.ts';

const PAGE = 1000;

/** Its lines in the order in which they were committed; or the exit code after an error message. */
export async function trailOf(file: string, gateway: string): Promise<string[] | ExitCode> {
  const loaded = loadLedgerToolConfig(file);
  if (!loaded.ok) return fail(formatProblems(loaded.problems), EXIT.config);
  const text = `reading ${ledgerText(loaded.config)}`;
  const lines = await withProgress(text, { json: false }, (report) =>
    withLedger(loaded.config, async (ledger) => {
      const found: string[] = [];
      for (let after = 0; ; ) {
        const records = await ledger.read(after, PAGE);
        const last = records.at(-1);
        if (!last) return found;
        for (const record of records)
          if (record.gateway === gateway && record.stream === AUDIT_STREAM)
            found.push(Buffer.from(record.payload).toString('utf8'));
        after = last.offset;
        report(`${after} records, ${found.length} of the audit log of ${gateway}`);
      }
    }),
  );
  if (lines === null) return noLedger(loaded.config);
  if (lines.length === 0) return fail(`the ledger has no audit entries of gateway "${gateway}"`, EXIT.failed);
  return lines;
}
