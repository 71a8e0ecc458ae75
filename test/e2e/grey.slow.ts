/**
 * A cloud that acknowledges and does not deliver, against the whole demo; test/sim/grey.test.ts is quicker.
 */
import t from 'tap';
import { runDemo } from './run-demo.ts';

t.test(
  'a cloud that acknowledges and never delivers is found by its receipts and routed around (I3)',
  async (t) => {
    const { exitCode, report, stderr } = await runDemo([
      ...['--duration', '40', '--rate', '200'],
      ...['--fault', 'aws:drop-after-ack@4-39'],
    ]);
    t.equal(exitCode, 0, stderr);
    t.match(report, { verdict: 'ok', missing: 0, duplicated_in_ledger: 0, residency_violations: 0 });
    t.match(report?.grey_failures, [{ provider: 'aws', fault: 'drop-after-ack' }]);
  },
);
