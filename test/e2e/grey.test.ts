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
    const [grey] = report?.grey_failures ?? [];
    t.match(grey, { provider: 'aws', fault: 'drop-after-ack' });
    t.ok((grey?.detected_ms ?? 0) >= 9000, `found after ${grey?.detected_ms} ms`);
  },
);
