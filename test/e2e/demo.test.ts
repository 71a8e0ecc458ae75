import t from 'tap';
import { runDemo } from './run-demo.ts';

t.setTimeout(110_000);

t.test('a black hole in the busiest cloud loses and doubles nothing (I3, I4, I5)', async (t) => {
  const { exitCode, report, stderr } = await runDemo(['--duration', '20', '--fault', 'azure:blackhole@5-14']);
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
  const failover = report.failovers.find(({ from }) => from === 'azure');
  t.ok(failover, 'the failover is reported');
  t.ok(
    (failover?.recovered_ms ?? Number.POSITIVE_INFINITY) <= 4000,
    `recovered after ${failover?.recovered_ms} ms`,
  );
});

t.test('a cloud that acknowledges and never delivers is told as a failure, with the count', async (t) => {
  const { exitCode, report } = await runDemo([
    '--duration',
    '12',
    '--rate',
    '200',
    '--fault',
    'azure:drop-after-ack@3-8',
  ]);
  t.equal(exitCode, 1);
  t.match(report, { verdict: 'failed', duplicated_in_ledger: 0 });
  t.ok((report?.missing ?? 0) > 0, `${report?.missing} missing`);
});
