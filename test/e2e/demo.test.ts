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

t.test(
  'a cloud that acknowledges and never delivers is found by its receipts and routed around (I3)',
  async (t) => {
    const { exitCode, report, stderr } = await runDemo([
      ...['--duration', '24', '--rate', '200'],
      ...['--fault', 'aws:drop-after-ack@4-22'],
    ]);
    t.equal(exitCode, 0, stderr);
    t.match(report, { verdict: 'ok', missing: 0, duplicated_in_ledger: 0, residency_violations: 0 });
    const [failover] = report?.failovers ?? [];
    t.match(failover, { from: 'aws', to: 'azure', fault: 'drop-after-ack', reason: 'receipt-lag' });
    const detectedMs = failover?.detected_ms ?? 0;
    t.ok(detectedMs >= 9000 && detectedMs <= 16_000, `found after ${detectedMs} ms`);
  },
);

t.test('all clouds at once: what they lost is sent again once they deliver (I3)', async (t) => {
  const faults = ['aws', 'azure', 'gcp'].flatMap((cloud) => ['--fault', `${cloud}:drop-after-ack@3-6`]);
  const { exitCode, report, stderr } = await runDemo(['--duration', '8', '--rate', '200', ...faults]);
  t.equal(exitCode, 0, stderr);
  t.match(report, { verdict: 'ok', missing: 0, duplicated_in_ledger: 0 });
});
