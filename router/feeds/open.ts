/** The feeds that router.yaml names. */
import type { Writable } from 'node:stream';
import type { Clock } from '../../shared/clock.ts';
import type { Entropy } from '../../shared/entropy.ts';
import type { Logger } from '../../shared/log.ts';
import type { FeedConfig } from '../config.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { createFeed, type Feed } from './feed.ts';
import type { FeedSink } from './sink.ts';
import { createMqttSink } from './sinks/mqtt.ts';
import { createNatsSink } from './sinks/nats.ts';
import { createNdjsonSink } from './sinks/ndjson.ts';
import { createPostgresSink } from './sinks/postgres.ts';
import { createWebhookSink } from './sinks/webhook.ts';

interface FeedDeps {
  ledger: Ledger;
  clock: Clock;
  entropy: Entropy;
  log: Logger;
  /** Where records go that a feed writes to `-`. */
  stdout: Writable;
}

export function openFeed(config: FeedConfig, { stdout, ...deps }: FeedDeps): Feed {
  const sink = openSink(config, { stdout, ...deps });
  const batch = config.type === 'webhook' ? { batchRecords: config.batch_records } : {};
  const { hold_back } = config;
  const holdBack = hold_back ? { recordsMax: hold_back.records_max, maxWaitMs: hold_back.max_wait } : null;
  return createFeed({ name: config.name, sink, holdBack, ...batch, ...deps });
}

type SinkDeps = Pick<FeedDeps, 'clock' | 'log' | 'stdout'>;

export function openSink(config: FeedConfig, { clock, log, stdout }: SinkDeps): FeedSink {
  switch (config.type) {
    case 'ndjson':
      return createNdjsonSink(config, stdout);
    case 'mqtt':
      return createMqttSink(config.name, config, clock);
    case 'nats':
      return createNatsSink(config.name, config, clock);
    case 'postgres':
      return createPostgresSink(config.name, config, { clock, log });
    case 'webhook':
      return createWebhookSink(config, clock);
  }
}
