/**
 * A router-like process with one feed, slowed down so that it can be killed on its way. Arguments: place,
 * file, lease in ms.
 */
import { Feed } from '../../router/feeds/feed.ts';
import type { FeedSink } from '../../router/feeds/sink.ts';
import { openNdjsonSink } from '../../router/feeds/sinks/ndjson.ts';
import { openPostgresLedger } from '../../router/ledger/postgres/engine.ts';
import { systemClock as clock } from '../../shared/clock.ts';
import { systemEntropy as entropy } from '../../shared/entropy.ts';
import { createLogger } from '../../shared/log.ts';
import { latency } from '../latency.ts';
import { optionsOf } from './postgres-engine.ts';

const [place = '', file = '', leaseMs = ''] = process.argv.slice(2);
const log = createLogger({ level: 'silent', levels: {} });
const ledger = await openPostgresLedger({ ...optionsOf(place), clock, log });
const target = openNdjsonSink({ file }, process.stdout, clock);
const sink: FeedSink = {
  async write(records, move) {
    await latency(10);
    return target.write(records, move);
  },
  close: () => target.close(),
};
const options = { name: 'file', ledger, sink, clock, entropy, log, batchRecords: 10 };
await new Feed({ ...options, leaseMs: Number(leaseMs) }).start();
