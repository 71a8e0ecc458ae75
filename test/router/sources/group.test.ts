import { join } from 'node:path';
import t from 'tap';
import { Ingest } from '../../../router/ingest/ingest.ts';
import { openSqliteLedger } from '../../../router/ledger/sqlite/engine.ts';
import { SourceGroup } from '../../../router/sources/group.ts';
import {
  type DeliveryHandler,
  initialSourceState,
  type Settlement,
  type Source,
} from '../../../router/sources/source.ts';
import { systemClock as clock } from '../../../shared/clock.ts';
import { encodeEnvelope } from '../../../shared/envelope/codec.ts';
import { createLogger } from '../../../shared/log.ts';
import { startTogether } from '../../../shared/service.ts';
import { testDir } from '../../test-dir.ts';
import { until } from '../../until.ts';
import { envelope } from '../ledger/envelopes.ts';

const log = createLogger({ level: 'silent', levels: {} });

/**
 * A source that is handed one message at the moment it is told to stop, as a poll that was under way would.
 */
function lateSource(name: string, seq: number, settled: Settlement[]): Source {
  let handler: DeliveryHandler = () => Promise.resolve('retry');
  return {
    name,
    type: 'mqtt',
    async start(given) {
      handler = given;
    },
    async stop() {
      const bytes = encodeEnvelope(envelope({ seqs: [seq] }));
      const delivery = { source: name, bytes, authenticatedGateway: null, deliveryCount: null };
      settled.push(await handler(delivery));
    },
    state: initialSourceState,
  };
}

t.test('what was taken is committed and settled before the intake has stopped (I5)', async (t) => {
  const ledger = await openSqliteLedger({ file: join(testDir(t), 'ledger.db'), clock, log });
  t.teardown(() => ledger.close());
  const settled: Settlement[] = [];
  const sources = [lateSource('a', 1, settled), lateSource('b', 2, settled)];
  const intake = new SourceGroup(sources, new Ingest({ ledger, clock, log }));
  t.equal(intake.closed, 'the router is starting');
  await intake.start();
  t.equal(intake.closed, null);
  const stopping = intake.stop();
  t.equal(intake.closed, 'the router is stopping');
  await stopping;
  t.strictSame(settled, ['settle', 'settle']);
  t.match(await ledger.totals(), { records: 2 });
});

t.test('parts that end side by side: a slow one and a failing one hold up no other', async (t) => {
  const ended: string[] = [];
  const slow = Promise.withResolvers<void>();
  const part = (name: string, end: Promise<void>) => ({
    start: () => Promise.resolve(),
    async stop() {
      await end;
      ended.push(name);
    },
  });
  const failing = { start: () => Promise.resolve(), stop: () => Promise.reject(new Error('stuck')) };
  const services = startTogether([part('slow', slow.promise), failing, part('quick', Promise.resolve())]);
  await services.start();
  const stopped = t.rejects(services.stop(), { errors: [{ message: 'stuck' }] });
  await until('the quick one', () => ended.length > 0);
  t.strictSame(ended, ['quick']);
  slow.resolve();
  await stopped;
  t.strictSame(ended, ['quick', 'slow']);
});
