/** `config check --connect` of ledgers and feeds on real servers: beside a running ledger, making nothing. */
import { jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import pg from 'pg';
import t from 'tap';
import { feedConnectCheck, feedSchema } from '../../router/feeds/open.ts';
import { ledgerConnectCheck } from '../../router/ledger/connect-check.ts';
import { openLedger } from '../../router/ledger/open.ts';
import { ledgerOptions } from '../../router/ledger/options.ts';
import { systemClock as clock } from '../../shared/clock.ts';
import { type CheckedPart, runPhases } from '../../shared/connect-check/phases.ts';
import { systemEntropy as entropy } from '../../shared/entropy.ts';
import { createLogger } from '../../shared/log.ts';
import { testDir } from '../test-dir.ts';
import { LOGIN, natsServer } from './nats.ts';
import { postgres } from './postgres.ts';

const deps = { clock, entropy };
const log = createLogger({ level: 'silent', levels: {} });

const checked = async (check: CheckedPart['check']) => {
  const part = { entry: 'one', type: 'any', check };
  const { passed, problem } = await runPhases(part, {
    clock,
    onPhase: () => undefined,
    clean: (text) => text,
  });
  return { phases: passed.map(({ phase }) => phase).join(' '), note: passed.at(-1)?.note, problem };
};
const ofFeed = (entry: object) => checked(() => feedConnectCheck(feedSchema.parse(entry), deps));
const configOf = (dir: string, ledger: object) => ({
  data_dir: dir,
  ledger: ledgerOptions.parse(ledger),
  dead_letters: { max_bytes: 1_000_000, max_age: 86_400_000 },
  conflicts: [],
});

t.test('PostgreSQL', async (t) => {
  const server = await postgres();
  t.teardown(() => server.remove());
  await server.start();
  const run = async (text: string) => {
    const client = new pg.Client({ connectionString: server.url });
    await client.connect();
    const { rows } = await client.query(text);
    await client.end();
    return rows;
  };
  const tables = () =>
    run("SELECT count(*)::int AS n FROM pg_tables WHERE schemaname !~ '^(pg_|information)'");
  const config = configOf(testDir(t), { type: 'postgres', url: server.url });
  const ofLedger = (url = server.url) =>
    checked(() => ledgerConnectCheck(configOf(config.data_dir, { type: 'postgres', url }), deps));
  await run('CREATE ROLE reader LOGIN');
  const reader = server.url.replace('headgate@', 'reader@');

  t.match(await ofLedger(), {
    phases: 'resolve connect login open',
    note: 'no ledger yet: the router will make it',
    problem: null,
  });
  t.match(await ofLedger(reader), { problem: { phase: 'open', option: 'one.schema', fix: /GRANT CREATE/ } });
  t.match(await tables(), [{ n: 0 }], 'nothing was made');
  const ledger = await openLedger(config, { clock, log, role: 'router' });
  t.teardown(() => ledger.close());
  t.match(await ofLedger(), { note: 'ledger with 0 records', problem: null });
  t.match(await ofLedger(reader), { problem: { phase: 'open' } }, 'a role without rights');
  t.match(await ofLedger(server.url.replace('headgate@', 'nobody@')), { problem: { phase: 'login' } });
  await ledger.ping();
  const gone = await run('DROP TABLE headgate.checkpoint');
  t.same(gone, []);
  t.match(await ofLedger(), { problem: { phase: 'open', message: /lost a part: table checkpoint/ } });

  const feed = (url: string) => ofFeed({ name: 'out', type: 'postgres', url, schema: 'feed' });
  const before = await tables();
  t.match(await feed(server.url), { phases: 'resolve connect login write', note: 'the tables will be made' });
  t.match(await feed(reader), { problem: { phase: 'write', option: 'one.schema' } });
  t.same(await tables(), before, 'nothing was made');
  await run('CREATE SCHEMA feed; CREATE TABLE feed.headgate_record (); CREATE TABLE feed.headgate_feed ()');
  await run('GRANT USAGE ON SCHEMA feed TO reader; GRANT SELECT ON ALL TABLES IN SCHEMA feed TO reader');
  t.match(await feed(server.url), { note: /^may insert into feed\.headgate_record/ });
  t.match(await feed(reader), { problem: { phase: 'write', option: 'one.table', fix: /GRANT/ } });
  await run("ALTER ROLE reader SET default_transaction_read_only = 'on'");
  t.match(await feed(reader), { problem: { message: /read-only/ } });
});

t.test('NATS', async (t) => {
  const dir = testDir(t);
  const server = await natsServer(dir);
  t.teardown(() => server.kill());
  await server.start();
  const servers = [`nats://127.0.0.1:${server.port}`];
  const login = { user: LOGIN.username, password: LOGIN.password };
  const config = configOf(dir, { type: 'jetstream', servers, ...login, replicas: 1 });
  const ofLedger = (change: object = {}) =>
    checked(() => ledgerConnectCheck({ ...config, ledger: { ...config.ledger, ...change } }, deps));
  const client = await connect({ servers, user: LOGIN.username, pass: LOGIN.password });
  t.teardown(() => client.close());
  const manager = await jetstreamManager(client);
  const streams = async () => (await manager.streams.names().next()).length;

  t.match(await ofLedger(), {
    phases: 'resolve connect login open',
    note: 'no ledger yet: the router will make it',
  });
  t.equal(await streams(), 0, 'nothing was made');
  const wrong = await ofLedger({ password: 'not-this-one' });
  t.match(wrong.problem, { phase: 'login', option: 'one.servers' });
  t.notMatch(JSON.stringify(wrong), 'not-this-one');
  const ledger = await openLedger(config, { clock, log, role: 'router' });
  t.teardown(() => ledger.close());
  t.match(await ofLedger(), { note: 'the ledger is whole', problem: null });
  const others = [`nats://127.0.0.1:1`, ...servers];
  t.match(
    await ofLedger({ servers: others }),
    { phases: 'resolve connect login open' },
    'one server is enough',
  );
  await manager.streams.delete('headgate-commits');
  t.match(await ofLedger(), { problem: { phase: 'open', option: 'one.name' } }, 'a part is lost');

  const feed = { name: 'out', type: 'nats', servers, ...LOGIN };
  t.match(await ofFeed(feed), {
    problem: { phase: 'write', option: 'one.subject', fix: /readings\.\*\.\*/ },
  });
  await manager.streams.add({ name: 'readings', subjects: ['readings.>'] });
  t.match(await ofFeed(feed), { phases: 'resolve connect login write', note: /^the stream readings takes/ });
  const info = await manager.streams.info('readings');
  t.equal(info.state.messages, 0, 'no record was written');
  t.match(await ofFeed({ ...feed, delivery: 'core' }), { phases: 'resolve connect login', problem: null });
  t.match(await ofFeed({ ...feed, password: 'wrong' }), { problem: { phase: 'login' } });
});
