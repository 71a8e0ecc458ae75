/** The disk space per record in each ledger engine, including indexes and the data of its envelope. */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import pg from 'pg';
import { openJetStreamLedger } from '../router/ledger/jetstream/engine.ts';
import type { Ledger } from '../router/ledger/ledger.ts';
import { openPostgresLedger } from '../router/ledger/postgres/engine.ts';
import { openSqliteLedger } from '../router/ledger/sqlite/engine.ts';
import { systemClock } from '../shared/clock.ts';
import { createLogger } from '../shared/log.ts';
import { natsCluster } from '../test/servers/nats-cluster.ts';
import { postgres } from '../test/servers/postgres.ts';
import { groupsOf } from './load/fleet.ts';
import { Workshop } from './load/programs.ts';
import { type Bench, rounded } from './measure.ts';

const RECORDS = 320_000;
/** For a quiet gateway, and for a busy one. */
const ENVELOPE_RECORDS = [10, 200];
const GROUP_ENVELOPES = 64;
const TIMEOUT_MS = 60_000;
const deps = { clock: systemClock, log: createLogger({ level: 'silent', levels: {} }) };

/** A ledger and its size on disk; JetStream counts one replica. */
interface Measurable {
  ledger: Ledger;
  bytes(): Promise<number>;
}

export const bench: Bench = {
  name: 'ledger-size',
  summary: 'bytes on the disk for each record, by ledger engine',
  async run() {
    const shop = new Workshop();
    const database = await postgres();
    const cluster = await natsCluster();
    try {
      await database.start();
      const engines: Record<string, (name: string) => Promise<Measurable>> = {
        sqlite: (name) => sqlite(join(shop.folder, `${name}.db`)),
        postgres: (name) => inPostgres(database.url, name),
        jetstream: (name) => jetStream(cluster.servers, name),
      };
      const rows: Array<Record<string, string | number>> = [];
      const figures: Record<string, number> = {};
      for (const [engine, open] of Object.entries(engines)) {
        for (const records of ENVELOPE_RECORDS) {
          const bytes = await perRecord(await open(`of_${records}`), records);
          rows.push({ engine, 'records/envelope': records, 'bytes/record': rounded(bytes) });
          figures[`${engine}_bytes_per_record_${records}`] = rounded(bytes);
        }
      }
      return { rows, figures };
    } finally {
      await cluster.remove();
      await database.remove();
      await shop.close();
    }
  },
};

async function perRecord({ ledger, bytes }: Measurable, records: number): Promise<number> {
  const before = await bytes();
  for (const group of groupsOf({ envelopes: RECORDS / records, records, duplicates: 0 }, GROUP_ENVELOPES, 1))
    await ledger.commit(group);
  const taken = (await bytes()) - before;
  await ledger.close();
  return taken / RECORDS;
}

/** Without its write-ahead log, which is bounded. */
async function sqlite(file: string): Promise<Measurable> {
  return { ledger: await openSqliteLedger({ file, ...deps }), bytes: async () => statSync(file).size };
}

/** Without the server's write-ahead log. */
async function inPostgres(url: string, schema: string): Promise<Measurable> {
  const ledger = await openPostgresLedger({ url, schema, connectionsMax: 4, timeoutMs: TIMEOUT_MS, ...deps });
  return {
    ledger,
    async bytes() {
      const client = new pg.Client({ connectionString: url });
      await client.connect();
      const { rows } = await client.query(
        `SELECT sum(pg_total_relation_size(c.oid))::float8 AS bytes FROM pg_class c
         JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relkind = 'r'`,
        [schema],
      );
      await client.end();
      return Number(rows[0]?.bytes);
    },
  };
}

async function jetStream(servers: string[], name: string): Promise<Measurable> {
  const ledger = await openJetStreamLedger({ servers, name, replicas: 3, timeoutMs: TIMEOUT_MS, ...deps });
  return {
    ledger,
    async bytes() {
      const connection = await connect({ servers });
      const streams = await (await jetstreamManager(connection)).streams.list().next();
      await connection.close();
      const own = streams.filter(({ config }) => config.name.startsWith(`${name}-`));
      return own.reduce((sum, { state }) => sum + state.bytes, 0);
    },
  };
}
