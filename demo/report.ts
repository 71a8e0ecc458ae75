/** The verdict, for a person or as one JSON line. */
import { foldedText } from '../shared/text-table.ts';
import type { Failover, GreyFailure } from './incidents.ts';

export interface Report {
  verdict: 'ok' | 'failed';
  acked: number;
  delivered: number;
  missing: number;
  duplicated_in_ledger: number;
  duplicates_reconciled: number;
  device_retries: number;
  conflicts: number;
  residency_violations: number;
  failovers: Failover[];
  grey_failures: GreyFailure[];
  per_provider: Record<string, { accepted: number; predicted_units: number; metered_units: number }>;
  seconds: number;
  /** Processes that ended unexpectedly. */
  crashes: string[];
}

/** `kept`: the folder with all state and logs, if the user asked to keep it. */
export function printReport(report: Report, options: { json: boolean; kept: string | null }): void {
  if (options.json) {
    const { crashes, ...fields } = report;
    for (const crash of crashes) process.stderr.write(`${crash}\n`);
    process.stdout.write(`${JSON.stringify(fields)}\n`);
    return;
  }
  const width = process.stdout.columns || Number.POSITIVE_INFINITY;
  const lines = reportLines(report);
  if (options.kept !== null) lines.push(`Everything is kept in ${options.kept}`);
  process.stdout.write(`${lines.map((text) => foldedText(text, width, '    ')).join('\n')}\n`);
}

function reportLines(report: Report): string[] {
  const failovers = report.failovers.map(
    ({ from, to, fault, reason, detected_ms, recovered_ms }) =>
      `  ${fault} at ${from}: left after ${detected_ms} ms for ${to ?? 'nothing'} (${reason})` +
      (recovered_ms === null ? '' : `, stuck records arrived after ${recovered_ms} ms`),
  );
  const grey = report.grey_failures.map(
    ({ provider, fault, detected_ms }) =>
      `  ${fault} at ${provider}: found by its receipts after ${detected_ms} ms`,
  );
  const providers = Object.entries(report.per_provider).map(
    ([name, { accepted, predicted_units, metered_units }]) =>
      `  ${name.padEnd(6)} ${String(accepted).padStart(6)} envelopes, ${predicted_units} units predicted, ${metered_units} metered`,
  );
  return [
    '',
    ...failovers,
    ...grey,
    ...providers,
    ...report.crashes.map((crash) => `  ${crash}`),
    '',
    `  ${report.acked} readings acknowledged to devices, ${report.delivered} in the ledger, ${report.missing} missing`,
    `  ${report.duplicates_reconciled} duplicates reconciled, ${report.duplicated_in_ledger} left in the ledger, ` +
      `${report.conflicts} conflicts, ${report.residency_violations} residency violations`,
    ...(report.device_retries > 0
      ? [`  ${report.device_retries} second records of publishes that devices sent again`]
      : []),
    '',
    report.verdict === 'ok'
      ? `OK: every acknowledged reading arrived, once. (${report.seconds} s)`
      : `FAILED: see above. (${report.seconds} s)`,
  ];
}
