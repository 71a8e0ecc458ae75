import t from 'tap';
import { runDemo } from './run-demo.ts';

t.setTimeout(110_000);

t.test('a black hole in the busiest cloud loses and doubles nothing (I3, I4, I5)', async (t) => {
  const { exitCode, report, stderr } = await runDemo(['--duration', '20']);
  t.equal(exitCode, 0, stderr);
  t.match(report, {
    verdict: 'ok',
    missing: 0,
    duplicated_in_ledger: 0,
    conflicts: 0,
    residency_violations: 0,
  });
  if (!report) return;
  t.ok(report.acked > 5000, `${report.acked} acknowledged`);
  t.equal(report.delivered, report.acked);
  t.ok(report.failovers.length > 0, 'the failover is reported');
  for (const { from, recovered_ms: recoveredMs } of report.failovers) {
    t.ok((recoveredMs ?? 0) <= 4000, `what was stuck at ${from} arrived after ${recoveredMs} ms`);
  }
});

t.test('clouds that acknowledge and never deliver are told as a failure, with the count', async (t) => {
  // All three, so that it does not matter which of them the scores pick.
  const faults = ['aws', 'azure', 'gcp'].flatMap((cloud) => ['--fault', `${cloud}:drop-after-ack@3-8`]);
  const { exitCode, report } = await runDemo(['--duration', '12', '--rate', '200', ...faults]);
  t.equal(exitCode, 1);
  t.match(report, { verdict: 'failed', duplicated_in_ledger: 0 });
  t.ok((report?.missing ?? 0) > 0, `${report?.missing} missing`);
});
