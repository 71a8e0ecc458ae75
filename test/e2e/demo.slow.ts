import t from 'tap';
import { runDemo } from './run-demo.ts';

t.test('the demo reports the failover that its fault made', async (t) => {
  const { exitCode, report, stderr } = await runDemo(['--duration', '40', '--fault', 'aws:blackhole@8-39']);
  t.equal(exitCode, 0, stderr);
  t.match(report, { verdict: 'ok', missing: 0 });
  t.match(report?.failovers, [{ from: 'aws', fault: 'blackhole', reason: 'breaker' }]);
});
