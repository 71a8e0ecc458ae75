import t from 'tap';
import { runDemo } from './run-demo.ts';

t.test('the demo reports the failover that its fault made', async (t) => {
  const { exitCode, report, stderr } = await runDemo(['--duration', '40', '--fault', 'aws:blackhole@8-39']);
  t.equal(exitCode, 0, stderr);
  t.match(report, { verdict: 'ok', missing: 0 });
  t.match(report?.failovers, [{ from: 'aws', fault: 'blackhole', reason: 'breaker' }]);
});

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
  t.ok((report?.acked ?? 0) > 0, `${report?.acked} acknowledged`);
  t.equal(report?.delivered, report?.acked);
});
