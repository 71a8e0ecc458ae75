/** How far behind a source is, through the ingest, real commits and the admin server's answer. */

import { join } from 'node:path';
import { Registry } from 'prom-client';
import t from 'tap';
import { Ingest } from '../../../router/ingest/ingest.ts';
import { openSqliteLedger } from '../../../router/ledger/sqlite/engine.ts';
import { SourceAges } from '../../../router/sources/age.ts';
import type { Delivery } from '../../../router/sources/source.ts';
import { systemClock } from '../../../shared/clock.ts';
import { encodeEnvelope } from '../../../shared/envelope/codec.ts';
import { createLogger } from '../../../shared/log.ts';
import { testDir } from '../../test-dir.ts';
import { type EnvelopeSketch, envelope } from '../ledger/envelopes.ts';

/** By the router's clock, which stands still here. */
const NOW_MS = 1_800_000_000_000;
const NEVER = { recordAgeMs: null, queueAgeMs: null };

function delivery(sketch: EnvelopeSketch, rest: Partial<Delivery> = {}): Delivery {
  const bytes = encodeEnvelope(envelope(sketch));
  return { source: 'aws', bytes, authenticatedGateway: null, deliveryCount: null, ...rest };
}

t.test('a source’s age, from its newest record and from the provider’s intake to the commit', async (t) => {
  const clock = { ...systemClock, wallMs: () => NOW_MS };
  const log = createLogger({ level: 'silent', levels: {} });
  const ledger = await openSqliteLedger({ file: join(testDir(t), 'ledger.db'), clock, log });
  t.teardown(() => ledger.close());
  const registry = new Registry();
  const ages = new SourceAges(registry, clock);
  const ingest = new Ingest({ ledger, clock, log, ages });
  t.same(ages.of('aws'), NEVER);

  // Record 7 was taken at 70 ms of the gateway's clock, record 1 at 10 ms.
  const enqueuedWallMs = NOW_MS - 1500;
  await ingest.handler(delivery({ seqs: [1, 7], offsetMs: NOW_MS - 4070 }, { enqueuedWallMs }));
  t.same(ages.of('aws'), { recordAgeMs: 4000, queueAgeMs: 1500 });

  await ingest.handler(delivery({ seqs: [8], offsetMs: 0, quality: 'unsynchronised' }));
  t.same(
    ages.of('aws'),
    { recordAgeMs: 4000, queueAgeMs: 1500 },
    'a clock that is not right tells nothing (I7)',
  );

  const ahead = delivery({ seqs: [9], offsetMs: NOW_MS }, { enqueuedWallMs: NOW_MS + 20 });
  await ingest.handler(ahead);
  t.same(ages.of('aws'), { recordAgeMs: 0, queueAgeMs: 0 }, 'a clock ahead of ours gives no age below zero');

  const unread = delivery(
    { seqs: [10], quality: 'unsynchronised' },
    { source: 'lan', enqueuedWallMs: Number.NaN },
  );
  t.equal(await ingest.handler(unread), 'settle');
  t.same(ages.of('lan'), NEVER, 'a time that was not to be read is none');

  await ingest.handler(delivery({}, { source: 'lan', bytes: Buffer.from('hello, world'), enqueuedWallMs }));
  t.same(ages.of('lan'), NEVER, 'a dead letter is not committed');
  await ledger.close();
  await ingest.handler(delivery({ seqs: [11] }, { source: 'lan', enqueuedWallMs }));
  t.same(ages.of('lan'), NEVER, 'nor what the ledger did not take');

  const text = await registry.metrics();
  t.match(text, /source_record_age_seconds_count\{source="aws"\} 2/);
  t.match(text, /source_record_age_seconds_sum\{source="aws"\} 4\n/);
  t.match(text, /source_queue_age_seconds_sum\{source="aws"\} 1\.5\n/);
  t.notMatch(text, /source="lan"/);
});
