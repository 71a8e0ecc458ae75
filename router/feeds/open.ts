/** The table of feed types, the schema of `feeds[]` and the opening of feeds by type. */
import { z } from 'zod';
import type { ConnectCheck, ConnectDeps } from '../../shared/connect-check/phases.ts';
import type { Entropy } from '../../shared/entropy.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { Feed } from './feed.ts';
import { everyFeed, feedType, type SinkDeps } from './feed-type.ts';
import type { FeedSink } from './sink.ts';
import { mqttFeedOptions } from './sinks/mqtt-options.ts';
import { NatsSink, natsFeedOptions } from './sinks/nats.ts';
import { ndjsonFeedOptions, openNdjsonSink } from './sinks/ndjson.ts';
import { postgresFeedOptions } from './sinks/postgres-options.ts';
import { WebhookSink, webhookFeedOptions } from './sinks/webhook.ts';

/** Feed types by the entry's `type`. */
const FEED_TYPES = {
  ndjson: feedType({
    schema: ndjsonFeedOptions
      .safeExtend({ type: z.literal('ndjson').describe('A file of JSON lines, or stdout.'), ...everyFeed })
      .strict(),
    open: async (config, { stdout, clock }) => openNdjsonSink(config, stdout, clock),
    connectCheck: async (config) => (await import('./sinks/ndjson-check.ts')).ndjsonConnectCheck(config),
  }),
  mqtt: feedType({
    schema: mqttFeedOptions
      .safeExtend({ type: z.literal('mqtt').describe('An MQTT broker.'), ...everyFeed })
      .strict(),
    open: async (config, { clock }) => {
      const { MqttSink } = await import('./sinks/mqtt.ts');
      return new MqttSink(config.name, config, clock);
    },
    connectCheck: async (config, deps) =>
      (await import('./sinks/mqtt-check.ts')).mqttFeedConnectCheck(config.name, config, deps),
  }),
  nats: feedType({
    schema: natsFeedOptions
      .safeExtend({ type: z.literal('nats').describe('NATS, with or without JetStream.'), ...everyFeed })
      .strict(),
    open: async (config, { clock }) => new NatsSink(config.name, config, clock),
    connectCheck: async (config, { clock }) =>
      (await import('./sinks/nats-check.ts')).natsConnectCheck(config.name, config, clock),
  }),
  postgres: feedType({
    schema: postgresFeedOptions
      .safeExtend({ type: z.literal('postgres').describe('Tables in PostgreSQL.'), ...everyFeed })
      .strict(),
    keepsPosition: true,
    open: async (config, deps) => {
      const { PostgresSink } = await import('./sinks/postgres.ts');
      return new PostgresSink(config.name, config, deps);
    },
    connectCheck: async (config, { clock }) =>
      (await import('./sinks/postgres-check.ts')).postgresFeedConnectCheck(config, clock),
  }),
  webhook: feedType({
    schema: webhookFeedOptions
      .safeExtend({ type: z.literal('webhook').describe('Signed HTTPS POSTs.'), ...everyFeed })
      .strict(),
    open: async (config, { clock }) => new WebhookSink(config, clock),
    connectCheck: async (config, { clock }) =>
      (await import('./sinks/webhook-check.ts')).webhookConnectCheck(config, clock),
  }),
};

const [first, ...others] = Object.values(FEED_TYPES).map(({ schema }) => schema);
if (first === undefined) throw new Error('the table of feed types is empty');

export const feedSchema = z
  .discriminatedUnion('type', [first, ...others])
  .describe('One feed: a reader that follows the ledger.');

export type FeedConfig = z.output<typeof feedSchema>;

interface FeedDeps extends SinkDeps {
  ledger: Ledger;
  entropy: Entropy;
}

export async function openFeed(config: FeedConfig, { stdout, ...deps }: FeedDeps): Promise<Feed> {
  const sink = await openSink(config, { stdout, ...deps });
  const batch = config.type === 'webhook' ? { batchRecords: config.batch_records } : {};
  const { hold_back } = config;
  const holdBack = hold_back ? { recordsMax: hold_back.records_max, maxWaitMs: hold_back.max_wait } : null;
  const quarantineAfter = config.quarantine_after === 0 ? null : config.quarantine_after;
  return new Feed({ name: config.name, sink, holdBack, quarantineAfter, ...batch, ...deps });
}

/** Any type of the table; the schema has checked that `config` is of this type. */
interface AnyFeedType {
  open(config: { type: string; name: string }, deps: SinkDeps): Promise<FeedSink>;
  connectCheck(config: { type: string; name: string }, deps: ConnectDeps): Promise<ConnectCheck>;
}

export async function openSink(config: FeedConfig, deps: SinkDeps): Promise<FeedSink> {
  const type: AnyFeedType = FEED_TYPES[config.type];
  return type.open(config, deps);
}

/** For `config check --connect`. Rejects when a file or value of the entry is unusable. */
export async function feedConnectCheck(config: FeedConfig, deps: ConnectDeps): Promise<ConnectCheck> {
  const type: AnyFeedType = FEED_TYPES[config.type];
  return type.connectCheck(config, deps);
}

/** Whether the destinations of this type store the feed's position. */
export function keepsPosition(type: string | undefined): boolean {
  const known: Readonly<Record<string, { keepsPosition?: boolean }>> = FEED_TYPES;
  return type !== undefined && Object.hasOwn(known, type) && known[type]?.keepsPosition === true;
}
