/**
 * The ledger engines at different shares of duplicates, in groups like a busy router's commits; the ledger's
 * deduplication compared with a key per record in Redis and a row per record in PostgreSQL; and the memory
 * per stream.
 */
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { openJetStreamLedger } from '../router/ledger/jetstream/engine.ts';
import type { Ledger } from '../router/ledger/ledger.ts';
import { openPostgresLedger } from '../router/ledger/postgres/engine.ts';
import { absorb, EMPTY_STREAM, type StreamState } from '../router/ledger/rules/rules.ts';
import { openSqliteLedger } from '../router/ledger/sqlite/engine.ts';
import { openLedgerThread } from '../router/ledger/sqlite/thread.ts';
import type { LedgerEntry } from '../router/ledger/types.ts';
import { systemClock } from '../shared/clock.ts';
import { IntervalSet } from '../shared/interval-set.ts';
import { createLogger } from '../shared/log.ts';
import { natsCluster } from '../test/servers/nats-cluster.ts';
import { postgres } from '../test/servers/postgres.ts';
import { entryOf, groupsOf } from './load/fleet.ts';
import { Workshop } from './load/programs.ts';
import { Redis } from './load/redis.ts';
import { type Bench, heldBytes, type Measured, median, rounded } from './measure.ts';

/** The first round is warm-up. */
const ROUNDS = 4;
const GROUP_ENVELOPES = 64;
/** Readings of 100 bytes: an envelope that fills a metering unit, and a small one. */
const ENVELOPE_RECORDS = 200;
const SMALL_RECORDS = 10;
/** `sqlite` is the ledger as the router runs it, in a thread of its own; `embedded` has no thread. */
const ENVELOPES = { sqlite: 512, embedded: 512, postgres: 128, jetstream: 256 };
const SHARES = [0, 0.5, 1];
const STREAMS = 1_000_000;
const HOLES = 100;
/** Envelopes in one write to Redis. */
const PIPELINED_ENVELOPES = 25;
const DEDUP_ENVELOPES = { ours: 2000, redis: 500, postgres: 10 };

type Engine = keyof typeof ENVELOPES;
interface Case {
  engine: Engine;
  records: number;
  /** Share of duplicates. */
  share: number;
  /**
   * Envelopes per second of wall time, and per second of this process's CPU time, which excludes other
   * programs' use of the machine.
   */
  perSecond: number[];
  perCpuSecond: number[];
  /** Longest time for which a commit held the loop that answers others, in milliseconds. */
  longestTurnMs: number[];
}

interface Speed {
  perSecond: number;
  perCpuSecond: number;
  longestTurnMs: number;
}

type Close = () => Promise<unknown>;

export const bench: Bench = {
  name: 'ledger',
  summary: 'records/s of the ledger engines, deduplication against Redis and PostgreSQL, memory per stream',
  async run(): Promise<Measured> {
    const closing: Close[] = [];
    try {
      return await measured(closing);
    } finally {
      for (const close of closing.reverse()) await close();
    }
  },
};

async function measured(closing: Close[]): Promise<Measured> {
  // Measured before the servers start and leave garbage.
  const bytes = { plain: bytesPerStream(0), holes: bytesPerStream(HOLES) };
  const shop = new Workshop();
  closing.push(() => shop.close());
  const database = await postgres();
  closing.push(() => database.remove());
  await database.start();
  const dedup = await dedupRates(shop, database.url, closing);
  const ledgers = await openAll(shop, database.url, closing);
  const cases: Case[] = [];
  for (const engine of Object.keys(ledgers) as Engine[]) {
    for (const share of SHARES) cases.push(caseOf(engine, ENVELOPE_RECORDS, share));
    cases.push(caseOf(engine, SMALL_RECORDS, 0));
  }
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const [i, one] of cases.entries()) {
      const speed = await committed(ledgers[one.engine], one, round * cases.length + i);
      if (round > 0) {
        one.perSecond.push(speed.perSecond);
        one.perCpuSecond.push(speed.perCpuSecond);
        one.longestTurnMs.push(speed.longestTurnMs);
      }
      console.error(
        `round ${round} ${one.engine} ${one.records} ${one.share}: ${rounded(speed.perSecond)} envelopes/s`,
      );
    }
  }
  const of = (engine: Engine, key: keyof Speed): number =>
    median(cases.find((one) => one.engine === engine)?.[key] ?? []);
  const records = (engine: Engine, key: 'perSecond' | 'perCpuSecond'): number =>
    rounded(of(engine, key) * ENVELOPE_RECORDS);
  const figures: Record<string, number> = {
    sqlite_records_s: records('sqlite', 'perSecond'),
    sqlite_records_cpu_s: records('sqlite', 'perCpuSecond'),
    sqlite_thread_ratio: rounded(of('sqlite', 'perSecond') / of('embedded', 'perSecond')),
    sqlite_longest_turn_ms: rounded(of('sqlite', 'longestTurnMs')),
    embedded_longest_turn_ms: rounded(of('embedded', 'longestTurnMs')),
    postgres_records_s: records('postgres', 'perSecond'),
    jetstream_records_s: records('jetstream', 'perSecond'),
    dedup_records_s: rounded(dedup.ours),
    redis_records_s: rounded(dedup.redis),
    postgres_insert_records_s: rounded(dedup.postgres),
    dedup_vs_redis: rounded(dedup.ours / dedup.redis),
    dedup_vs_postgres: rounded(dedup.ours / dedup.postgres),
    bytes_per_stream: rounded(bytes.plain),
    bytes_per_stream_100_holes: rounded(bytes.holes),
  };
  const rows = cases.map(({ engine, records, share, perSecond, perCpuSecond, longestTurnMs }) => ({
    engine,
    'records/envelope': records,
    'duplicates %': share * 100,
    'envelopes/s': rounded(median(perSecond)),
    'records/s': rounded(median(perSecond) * records),
    'unique records/s': rounded(median(perSecond) * records * (1 - share)),
    'records/s of CPU': rounded(median(perCpuSecond) * records),
    'longest turn ms': rounded(median(longestTurnMs)),
  }));
  return { rows, figures };
}

function caseOf(engine: Engine, records: number, share: number): Case {
  return { engine, records, share, perSecond: [], perCpuSecond: [], longestTurnMs: [] };
}

async function openAll(shop: Workshop, url: string, closing: Close[]): Promise<Record<Engine, Ledger>> {
  const cluster = await natsCluster();
  closing.push(() => cluster.remove());
  const deps = { clock: systemClock, log: createLogger({ level: 'silent', levels: {} }) };
  const ledgers = {
    sqlite: await openLedgerThread({
      file: join(shop.folder, 'ledger.db'),
      conflicts: [],
      limits: {},
      ...deps,
    }),
    embedded: await openSqliteLedger({ file: join(shop.folder, 'embedded.db'), ...deps }),
    postgres: await openPostgresLedger({
      url,
      schema: 'bench',
      connectionsMax: 4,
      timeoutMs: 60_000,
      ...deps,
    }),
    jetstream: await openJetStreamLedger({
      servers: cluster.servers,
      name: 'bench',
      replicas: 3,
      timeoutMs: 60_000,
      ...deps,
    }),
  };
  for (const ledger of Object.values(ledgers)) closing.push(() => ledger.close());
  return ledgers;
}

/** With only duplicates, their first copies are committed before the measurement. */
async function committed(ledger: Ledger, { engine, records, share }: Case, round: number): Promise<Speed> {
  const envelopes =
    Math.ceil((ENVELOPES[engine] * (records === SMALL_RECORDS ? 2 : 1)) / GROUP_ENVELOPES) * GROUP_ENVELOPES;
  const groups = groupsOf(
    { envelopes, records, duplicates: share === 1 ? 0 : share },
    GROUP_ENVELOPES,
    round,
  );
  if (share === 1) for (const group of groups) await ledger.commit(group);
  const startedNs = process.hrtime.bigint();
  const before = process.cpuUsage();
  const longestTurnMs = await longestTurn(async () => {
    for (const group of groups) await ledger.commit(group);
  });
  const { user, system } = process.cpuUsage(before);
  return {
    perSecond: (envelopes * 1e9) / Number(process.hrtime.bigint() - startedNs),
    perCpuSecond: (envelopes * 1e6) / (user + system),
    longestTurnMs,
  };
}

/** The longest time between two timers of a millisecond while `work` runs, in milliseconds. */
async function longestTurn(work: () => Promise<void>): Promise<number> {
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  await work();
  // An embedded engine commits without a turn of the loop: the last delay is told by the next one.
  await sleep(2);
  delay.disable();
  return delay.max / 1e6;
}

/** Records per second classified as new or known by one client, in the agents' sending order. */
async function dedupRates(
  shop: Workshop,
  url: string,
  closing: Close[],
): Promise<Record<keyof typeof DEDUP_ENVELOPES, number>> {
  const redis = await Redis.start(shop);
  closing.push(async () => redis.close());
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  closing.push(() => client.end());
  await client.query(
    'CREATE TABLE seen (gateway text, epoch text, stream text, seq bigint, PRIMARY KEY (gateway, epoch, stream, seq))',
  );
  const rates = { ours: [] as number[], redis: [] as number[], postgres: [] as number[] };
  for (let round = 0; round < ROUNDS; round += 1) {
    const entries = Array.from({ length: DEDUP_ENVELOPES.ours }, (_, i) =>
      entryOf(i, ENVELOPE_RECORDS, round),
    );
    const states = new Map<string, StreamState>();
    const ours = await rate([entries], async (all) => {
      for (const { envelope } of all) {
        const state = states.get(envelope.gateway) ?? EMPTY_STREAM;
        states.set(envelope.gateway, absorb(state, envelope, { verified: true }).state);
      }
    });
    const batches = batchesOf(entries.slice(0, DEDUP_ENVELOPES.redis), PIPELINED_ENVELOPES);
    const keys = new Map(batches.map((batch) => [batch, batch.flatMap(keysOf)]));
    const inRedis = await rate(batches, (batch) => redis.setNew(keys.get(batch) ?? []));
    const rows = batchesOf(entries.slice(0, DEDUP_ENVELOPES.postgres), 1);
    const inTable = await rate(rows, ([entry]) => insertEach(client, entry));
    if (round === 0) continue;
    rates.ours.push(ours);
    rates.redis.push(inRedis);
    rates.postgres.push(inTable);
  }
  return { ours: median(rates.ours), redis: median(rates.redis), postgres: median(rates.postgres) };
}

async function rate(
  batches: readonly (readonly LedgerEntry[])[],
  take: (batch: readonly LedgerEntry[]) => Promise<void>,
): Promise<number> {
  const startedNs = process.hrtime.bigint();
  for (const batch of batches) await take(batch);
  const records = batches.flat().length * ENVELOPE_RECORDS;
  return (records * 1e9) / Number(process.hrtime.bigint() - startedNs);
}

function batchesOf(entries: readonly LedgerEntry[], length: number): (readonly LedgerEntry[])[] {
  return Array.from({ length: Math.ceil(entries.length / length) }, (_, i) =>
    entries.slice(i * length, (i + 1) * length),
  );
}

function keysOf({ envelope }: LedgerEntry): string[] {
  const { gateway, epoch, stream, records } = envelope;
  return records.map(({ seq }) => `${gateway}/${epoch}/${stream}/${seq}`);
}

/** One statement per record, one transaction per envelope. */
async function insertEach(client: pg.Client, entry: LedgerEntry | undefined): Promise<void> {
  if (!entry) return;
  const { envelope } = entry;
  const { gateway, epoch, stream, records } = envelope;
  await client.query('BEGIN');
  for (const { seq } of records) {
    await client.query({
      name: 'insert',
      text: 'INSERT INTO seen VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING',
      values: [gateway, epoch, stream, seq],
    });
  }
  await client.query('COMMIT');
}

/**
 * Bytes of a stream's state in an engine's memory, without the stream's name; measured over a million
 * streams.
 */
function bytesPerStream(holes: number): number {
  const { envelope } = entryOf(0, 1, 0);
  const seen = IntervalSet.empty();
  for (let i = 0; i <= holes; i += 1) seen.add(i * 50 + 2, i * 50 + 40);
  const before: StreamState = { ...EMPTY_STREAM, seen };
  return (
    heldBytes(() =>
      Array.from({ length: STREAMS }, () => absorb(before, envelope, { verified: true }).state),
    ) / STREAMS
  );
}
