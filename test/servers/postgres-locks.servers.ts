/** A row that another program has locked holds up its own gateway, and no other. */
import { createPublicKey } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import t, { type Test } from 'tap';
import { stringify } from 'yaml';
import { GatewayKeys } from '../../router/gateways/gateway-keys.ts';
import { Ingest } from '../../router/ingest/ingest.ts';
import { Signatures } from '../../router/ingest/signatures.ts';
import type { Ledger } from '../../router/ledger/ledger.ts';
import { openPostgresLedger } from '../../router/ledger/postgres/engine.ts';
import { EntriesBlocked, type LedgerEntry } from '../../router/ledger/types.ts';
import type { Settlement } from '../../router/sources/source.ts';
import { systemClock as clock } from '../../shared/clock.ts';
import { seededEntropy } from '../../shared/entropy.ts';
import { encodeEnvelope } from '../../shared/envelope/codec.ts';
import { createLogger } from '../../shared/log.ts';
import { envelopeSigner } from '../../shared/signing/envelope-signature.ts';
import { newPrivateKey } from '../../shared/signing/private-key.ts';
import { signerOf } from '../../shared/signing/signature.ts';
import { entry, envelope } from '../router/ledger/envelopes.ts';
import { testDir } from '../test-dir.ts';
import { until } from '../until.ts';
import { postgres } from './postgres.ts';

const KEY = newPrivateKey(seededEntropy(1));
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

/** The key of every gateway here, in a file as an operator has it. */
async function signatures(t: Test): Promise<Signatures> {
  const file = join(testDir(t), 'gateways.yaml');
  const publicKey = createPublicKey(KEY).export({ type: 'spki', format: 'pem' });
  const names = ['gw-1', 'gw-2', 'gw-3'];
  const gateways = Object.fromEntries(names.map((name) => [name, { public_keys: [publicKey] }]));
  writeFileSync(file, stringify({ gateways }));
  const keys = new GatewayKeys(file, { clock, log });
  await keys.read();
  return new Signatures({ accept: new Map([['aws', 'signed']]), keys });
}

/** The ledger, and how many of its commits had an entry of the gateway beside others. */
function counted(ledger: Ledger, gateway: string): { ledger: Ledger; commits: () => number } {
  let commits = 0;
  const watched = new Proxy(ledger, {
    get(target, key) {
      const value = Reflect.get(target, key);
      if (key !== 'commit') return typeof value === 'function' ? value.bind(target) : value;
      return (entries: readonly LedgerEntry[]) => {
        const own = entries.filter(({ envelope }) => envelope.gateway === gateway).length;
        if (own > 0 && own < entries.length) commits += 1;
        return target.commit(entries);
      };
    },
  });
  return { ledger: watched, commits: () => commits };
}

for (const [table, lock] of Object.entries(LOCKED)) {
  await t.test(`a locked row of ${table}: the other gateways go on`, async (t) => {
    const { ledger, other } = await opened(t, `locked_${table}`);
    const locked = counted(ledger, 'gw-1');
    const ingest = new Ingest({ ledger: locked.ledger, clock, log, signatures: await signatures(t) });
    const deliver = (gateway: string, seq: number): Promise<Settlement> => {
      // A clock that moves, and that the gateway signed, is one that is written.
      const moved = envelope({ gateway, seqs: [seq], offsetMs: seq * 1000 });
      const bytes = encodeEnvelope(moved, envelopeSigner(signerOf(KEY)));
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
    const before = locked.commits();
    for (let seq = 3; seq < 20; seq += 1)
      t.strictSame(await Promise.all([deliver('gw-2', seq), deliver('gw-1', 2)]), ['settle', 'later']);
    t.equal(locked.commits(), before, 'set aside: no commit of others waits for the lock');
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
