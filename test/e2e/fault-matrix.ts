/**
 * `npm run test:faults`: the demo under every fault of every cloud, one after the other, with a table at the
 * end. Takes about half an hour; `npm run test:faults -- aws:refuse gcp:slow` runs only those. Exits 1 when a
 * run is not as it must be.
 */
import { FAULT_NAMES, type FaultName } from '../../loopback/faults.ts';
import { runDemo } from './run-demo.ts';

const CLOUDS = ['aws', 'azure', 'gcp'] as const;
const WINDOW = '10-25';
/** Upper bounds of `recovered_ms`. */
const RECOVERED_MS_MAX: Partial<Record<FaultName, number>> = { refuse: 2000, blackhole: 4000 };

const wanted = process.argv.slice(2);
const all = CLOUDS.flatMap((cloud) => FAULT_NAMES.map((fault) => ({ cloud, fault })));
const chosen = all.filter(({ cloud, fault }) => wanted.length === 0 || wanted.includes(`${cloud}:${fault}`));
let failures = 0;

console.log(
  'fault                    exit  acked  missing  doubled  reconciled  detected  recovered  verdict',
);
for (const { cloud, fault } of chosen) {
  const { exitCode, report, stderr } = await runDemo([
    '--duration',
    '28',
    '--fault',
    `${cloud}:${fault}@${WINDOW}`,
  ]);
  const failover = report?.failovers.find(({ from }) => from === cloud);
  const problems = judge(fault, exitCode, report, failover);
  if (problems.length > 0) failures += 1;
  const cells = [
    `${cloud}:${fault}`.padEnd(24),
    String(exitCode).padStart(4),
    String(report?.acked ?? '–').padStart(6),
    String(report?.missing ?? '–').padStart(8),
    String(report?.duplicated_in_ledger ?? '–').padStart(8),
    String(report?.duplicates_reconciled ?? '–').padStart(11),
    String(failover?.detected_ms ?? '–').padStart(9),
    String(failover?.recovered_ms ?? '–').padStart(10),
    problems.length === 0 ? '  as it must be' : `  WRONG: ${problems.join('; ')} ${stderr}`,
  ];
  console.log(cells.join(' '));
}
console.log(`\n${chosen.length - failures} of ${chosen.length} as they must be`);
process.exit(failures === 0 ? 0 : 1);

function judge(
  fault: FaultName,
  exitCode: number | null,
  report: Awaited<ReturnType<typeof runDemo>>['report'],
  failover: { recovered_ms: number | null } | undefined,
): string[] {
  if (!report) return ['no verdict'];
  const problems: string[] = [];
  if (report.duplicated_in_ledger !== 0) problems.push('doubled in the ledger');
  if (report.conflicts !== 0 || report.residency_violations !== 0) problems.push('conflict or residency');
  if (exitCode !== 0 || report.missing !== 0) problems.push('must be ok with nothing missing');
  const max = RECOVERED_MS_MAX[fault];
  if (max !== undefined && (failover?.recovered_ms ?? Number.POSITIVE_INFINITY) > max) {
    problems.push(`recovered later than ${max} ms`);
  }
  if (fault === 'ack-lost' && report.duplicates_reconciled === 0) problems.push('no duplicates reconciled');
  return problems;
}
