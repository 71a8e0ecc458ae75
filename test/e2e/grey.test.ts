/** A cloud that acknowledges and does not deliver, against the whole demo. */
import t from 'tap';
import { runDemo } from './run-demo.ts';

t.setTimeout(115_000);

t.test(
  'a cloud that acknowledges and never delivers is found by its receipts and routed around (I3)',
  async (t) => {
    const { exitCode, report, stderr } = await runDemo([
      ...['--duration', '20', '--rate', '200'],
      ...['--fault', 'aws:drop-after-ack@4-19'],
    ]);
    t.equal(exitCode, 0, stderr);
    t.match(report, { verdict: 'ok', missing: 0, duplicated_in_ledger: 0, residency_violations: 0 });
    const [failover] = report?.failovers ?? [];
    t.match(failover, { from: 'aws', to: 'azure', fault: 'drop-after-ack', reason: 'receipt-lag' });
    const detectedMs = failover?.detected_ms ?? 0;
    t.ok(detectedMs >= 9000, `found after ${detectedMs} ms`);
  },
);
