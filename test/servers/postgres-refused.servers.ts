/** A real PostgreSQL that refuses one record of many: the feed finds it, names it and skips it alone. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import t from 'tap';
import { skipRecord } from '../../cli/feeds.ts';
import { loadLedgerToolConfig } from '../../router/config.ts';
import { Feed } from '../../router/feeds/feed.ts';
import { PostgresSink } from '../../router/feeds/sinks/postgres.ts';
import { postgresFeedOptions } from '../../router/feeds/sinks/postgres-options.ts';
import { openSqliteLedger } from '../../router/ledger/sqlite/engine.ts';
import { systemClock as clock } from '../../shared/clock.ts';
import { systemEntropy as entropy } from '../../shared/entropy.ts';
import { createLogger } from '../../shared/log.ts';
import { entry, record, seqs } from '../router/ledger/envelopes.ts';
import { testDir } from '../test-dir.ts';
import { until } from '../until.ts';
import { postgres } from './postgres.ts';

const server = await postgres();
t.teardown(() => server.remove());
await server.start();

async function query<Row extends pg.QueryResultRow>(text: string): Promise<Row[]> {
  const client = new pg.Client({ connectionString: server.url });
  await client.connect();
  try {
    return (await client.query<Row>(text)).rows;
  } finally {
    await client.end();
  }
}

t.test('of 300 records, one that a constraint refuses is named, and skipped alone; text stays', async (t) => {
  const folder = testDir(t);
  const lines: Array<Record<string, unknown>> = [];
  const log = createLogger({ level: 'info', levels: {} }, { write: (line) => lines.push(JSON.parse(line)) });
  const ledger = await openSqliteLedger({ file: join(folder, 'ledger.db'), clock, log });
  t.teardown(() => ledger.close());
  const sink = new PostgresSink('table', postgresFeedOptions.parse({ url: server.url, schema: 'refusing' }), {
    clock,
    log,
  });
  const feed = new Feed({ name: 'table', ledger, sink, clock, entropy, log, batchRecords: 100 });
  t.teardown(() => feed.stop());
  await ledger.commit([entry({ seqs: [1] })]);
  await feed.start();
  await until('the table is there', () => feed.state().cursor === 1);
  await query('ALTER TABLE refusing.headgate_record ADD CONSTRAINT odd CHECK (seq <> 150)');
  const made = entry({ seqs: seqs(2, 300) });
  const names = ['\ufeffstart', '\ufeff', 'a/\ufffd/b', '\u{10ffff}', 'cafe\u0301'];
  made.envelope.records = seqs(2, 300).map((seq) => {
    const name = names[seq % names.length] ?? '';
    return { ...record(seq), topic: name, device: name, payload: Buffer.from([seq & 255, 0xfe, 0xff, 0]) };
  });
  await ledger.commit([made]);
  feed.notify();
  await until('the record is found', () => feed.state().refused !== null);
  t.match(feed.state(), {
    cursor: 149,
    refused: { id: 'gw-1/1-aa/telemetry/150', offset: 150, error: /odd/ },
  });
  t.match(
    lines.filter(({ event }) => event === 'feed.record_refused'),
    [{ feed: 'table', record: 'gw-1/1-aa/telemetry/150' }],
  );
  const config = join(folder, 'router.yaml');
  writeFileSync(
    config,
    `data_dir: '${folder}'
sources: [{ name: gcp, type: gcp, project: p, subscription: s }]
feeds: [{ name: table, type: postgres, url: '${server.url}', schema: refusing }]
`,
  );
  const loaded = loadLedgerToolConfig(config);
  if (!loaded.ok) throw new Error('the configuration of the test is not sound');
  t.match(await skipRecord(loaded.config, 'table', '150'), { done: /150/ });
  feed.notify();
  await until('the rest is written', () => feed.state().cursor === 300);
  t.match(feed.state(), { refused: null, lastError: null });
  const rows = await query<{ seq: number; topic: string; device: string; hex: string }>(
    `SELECT seq::integer, topic, device, encode(payload_bytes, 'hex') AS hex FROM refusing.headgate_record
       WHERE seq > 1 ORDER BY seq`,
  );
  t.same(
    rows,
    made.envelope.records.flatMap(({ topic, device, payload }, i) =>
      i + 2 === 150 ? [] : [{ seq: i + 2, topic, device, hex: Buffer.from(payload).toString('hex') }],
    ),
  );
});
