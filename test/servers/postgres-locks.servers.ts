/** A row that another program has locked holds up its own gateway, and no other. */
import pg from 'pg';
import t, { type Test } from 'tap';
import { Ingest } from '../../router/ingest/ingest.ts';
import { openPostgresLedger } from '../../router/ledger/postgres/engine.ts';
import { EntriesBlocked } from '../../router/ledger/types.ts';
import type { Settlement } from '../../router/sources/source.ts';
import { systemClock as clock } from '../../shared/clock.ts';
import { encodeEnvelope } from '../../shared/envelope/codec.ts';
import { createLogger } from '../../shared/log.ts';
import { entry, envelope } from '../router/ledger/envelopes.ts';
import { until } from '../until.ts';
import { postgres } from './postgres.ts';

const log = createLogger({ level: 'silent', levels: {} });
/** Each row that a commit locks for one gateway alone. */
const LOCKED: Readonly<Record<string, string>> = {
  stream: "SELECT FROM stream WHERE gateway = 'gw-1' FOR UPDATE",
  contact: "SELECT FROM contact WHERE gateway = 'gw-1' FOR UPDATE",
  boot_clock: "SELECT FROM boot_clock WHERE gateway = 'gw-1' FOR UPDATE",
};

t.setTimeout(600_000);
const server = await postgres();
t.teardown(() => server.remove());
await server.start();

async function opened(t: Test, schema: string) {
  const options = { url: server.url, schema, connectionsMax: 4, timeoutMs: 8000 };
  const ledger = await openPostgresLedger({ ...options, clock, log });
  t.teardown(() => ledger.close());
  const other = new pg.Client({ connectionString: server.url });
  await other.connect();
  t.teardown(() => other.end());
  await other.query(`SET search_path = ${schema}`);
  return { ledger, other };
}

for (const [table, lock] of Object.entries(LOCKED)) {
  await t.test(`a locked row of ${table}: the other gateways go on`, async (t) => {
    const { ledger, other } = await opened(t, `locked_${table}`);
    const ingest = new Ingest({ ledger, clock, log });
    const deliver = (gateway: string, seq: number): Promise<Settlement> => {
      // A clock that moves is one that is written.
      const bytes = encodeEnvelope(envelope({ gateway, seqs: [seq], offsetMs: seq * 1000 }));
      return ingest.handler({ source: 'aws', bytes, authenticatedGateway: null, deliveryCount: null });
    };
    const seqs = (gateway: string) =>
      ledger.completeness(gateway).then(([stream]) => stream?.completeTo ?? 0);
    t.strictSame(await Promise.all([deliver('gw-1', 1), deliver('gw-2', 1)]), ['settle', 'settle']);
    await other.query('BEGIN');
    await other.query(lock);
    t.strictSame(
      await Promise.all([deliver('gw-1', 2), deliver('gw-2', 2), deliver('gw-3', 1)]),
      ['later', 'settle', 'settle'],
      'one commit, which waits for the lock once',
    );
    for (let seq = 3; seq < 20; seq += 1) {
      t.equal(await deliver('gw-2', seq), 'settle');
      t.equal(await deliver('gw-1', 2), 'later');
    }
    t.equal(await seqs('gw-1'), 1);
    t.equal(await seqs('gw-2'), 19);
    await other.query('COMMIT');
    await until('the stream is tried again', async () => (await deliver('gw-1', 2)) === 'settle');
    await ingest.drain();
    t.equal(await deliver('gw-1', 3), 'settle', 'in the groups again');
  });
}

await t.test('a commit says which of its entries are held up', async (t) => {
  const { ledger, other } = await opened(t, 'held_up');
  const [first, second] = [entry({ gateway: 'gw-1', seqs: [1] }), entry({ gateway: 'gw-2', seqs: [1] })];
  await ledger.commit([first, second]);
  await other.query(`BEGIN; ${LOCKED['stream']}`);
  const error = await ledger.commit([second, first]).catch((thrown: unknown) => thrown);
  t.ok(error instanceof EntriesBlocked);
  t.ok(error instanceof EntriesBlocked && error.entries.has(first) && error.entries.size === 1);
  await other.query('ROLLBACK; BEGIN; LOCK TABLE head');
  const third = entry({ gateway: 'gw-1', seqs: [2] });
  await t.rejects(ledger.commit([third]), { code: '55P03' }, 'what every commit needs blames none of them');
  await other.query('ROLLBACK');
  t.match(await ledger.commit([third, second]), [{ new: 1 }, { duplicate: 1 }]);
});
