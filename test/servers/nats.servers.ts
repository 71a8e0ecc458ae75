/** The NATS feed against a real nats-server: what it says it delivered is there, whatever dies in between. */

import { join } from 'node:path';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import t, { type Test } from 'tap';
import { createCertificateAuthority } from '../../loopback/ca.ts';
import { Feed } from '../../router/feeds/feed.ts';
import { type NatsFeedOptions, NatsSink, natsFeedOptions } from '../../router/feeds/sinks/nats.ts';
import { openSqliteLedger } from '../../router/ledger/sqlite/engine.ts';
import { systemClock as clock } from '../../shared/clock.ts';
import { systemEntropy as entropy } from '../../shared/entropy.ts';
import { createLogger } from '../../shared/log.ts';
import { entry, record, seqs } from '../router/ledger/envelopes.ts';
import { testDir } from '../test-dir.ts';
import { until } from '../until.ts';
import { clientOptions, LOGIN, type NatsServer, natsServer } from './nats.ts';

const log = createLogger({ level: 'silent', levels: {} });

async function client(t: Test, { port }: NatsServer): Promise<NatsConnection> {
  const nats = await connect({ ...clientOptions(port) });
  t.teardown(() => nats.close());
  return nats;
}

/** A stream of the subjects `readings.>`. */
async function addStream(nats: NatsConnection): Promise<void> {
  const manager = await jetstreamManager(nats);
  await manager.streams.add({ name: 'readings', subjects: ['readings.>'] });
}

/** All that the stream holds. */
async function stored(nats: NatsConnection): Promise<{ subject: string; id: string; text: string }[]> {
  const manager = await jetstreamManager(nats);
  const { state } = await manager.streams.info('readings');
  const consumer = await jetstream(nats).consumers.get('readings');
  const found: { subject: string; id: string; text: string }[] = [];
  for await (const message of await consumer.fetch({ max_messages: state.messages, expires: 5000 })) {
    const id = message.headers?.get('Nats-Msg-Id') ?? '';
    found.push({ subject: message.subject, id, text: message.string() });
  }
  return found;
}

/** A server, a ledger, and how to start a feed from one to the other. With `tls`, the server speaks it. */
async function fresh(t: Test, tls?: { ca: string; cert: string; key: string }) {
  const dir = testDir(t, {
    ...(tls && { 'cert.pem': tls.cert, 'key.pem': tls.key }),
  });
  const server = await natsServer(dir, tls?.ca);
  t.teardown(() => server.kill());
  await server.start();
  const ledger = await openSqliteLedger({ file: join(dir, 'ledger.db'), clock, log });
  t.teardown(() => ledger.close());
  const start = async (options: Partial<NatsFeedOptions> = {}, name = 'nats'): Promise<Feed> => {
    const servers = [`nats://127.0.0.1:${server.port}`];
    const sink = new NatsSink(name, natsFeedOptions.parse({ servers, ...LOGIN, ...options }), clock);
    const feed = new Feed({ name, ledger, sink, clock, entropy, log, batchRecords: 10 });
    await feed.start();
    t.teardown(() => feed.stop());
    return feed;
  };
  return { server, ledger, start };
}

t.test('a stream has every record once, in order; a repeated batch is dropped by its ids', async (t) => {
  const { server, ledger, start } = await fresh(t);
  const nats = await client(t, server);
  await addStream(nats);
  await ledger.commit([entry({ seqs: seqs(1, 35) })]);
  const feed = await start();
  await until('feed has reached 35', () => feed.state().cursor === 35);
  await feed.stop();
  await ledger.resetFeedPosition('nats', 12);
  const again = await start();
  await until('again has reached 35', () => again.state().cursor === 35);
  t.equal(again.state().written, 23, 'it did send them again');
  t.strictSame(
    await stored(nats),
    seqs(1, 35).map((seq) => ({
      subject: 'readings.gw-1.telemetry',
      id: `gw-1/1-aa/telemetry/${seq}`,
      text: String(seq),
    })),
  );
});

t.test('no stream takes the subject: a failure with a name, and the cursor stays', async (t) => {
  const { server, ledger, start } = await fresh(t);
  const nats = await client(t, server);
  await ledger.commit([entry({ seqs: [1, 2] })]);
  const feed = await start();
  await until('feed has failed', () => feed.state().failures > 0);
  t.match(feed.state(), {
    phase: 'retrying',
    cursor: 0,
    lastError: 'no JetStream stream takes readings.gw-1.telemetry',
  });
  await addStream(nats);
  await until('feed has reached 2', () => feed.state().cursor === 2);
  t.equal((await stored(nats)).length, 2);
});

t.test('a server killed in the middle: every record is in the stream once', async (t) => {
  const { server, ledger, start } = await fresh(t);
  await addStream(await client(t, server));
  await ledger.commit([entry({ seqs: seqs(1, 3000) })]);
  const feed = await start();
  await until('feed is past 20', () => feed.state().cursor > 20);
  await server.kill();
  await until('feed is retrying', () => feed.state().phase === 'retrying');
  t.ok(feed.state().cursor < 3000, 'it was in the middle');
  await server.start();
  await until('feed has reached 3000', () => feed.state().cursor === 3000);
  const ids = (await stored(await client(t, server))).map(({ id }) => id);
  t.strictSame(new Set(ids), new Set(seqs(1, 3000).map((seq) => `gw-1/1-aa/telemetry/${seq}`)));
  t.equal(ids.length, 3000, 'and none twice');
});

t.test(
  'plain NATS: subscribers get it with its headers; a subject that is refused is no success',
  async (t) => {
    const { server, ledger, start } = await fresh(t);
    const nats = await client(t, server);
    const seen: string[] = [];
    nats.subscribe('plant.>', {
      callback: (_error, { subject, headers, data }) =>
        void seen.push(`${subject} ${headers?.get('Headgate-Topic')} ${Buffer.from(data)}`),
    });
    await nats.flush();
    const made = entry({ gateway: 'gw.1', seqs: [1, 2] });
    made.envelope.records = [
      { ...record(1), topic: 'a//b.c/*> ü' },
      { ...record(2), topic: `${'x/'.repeat(2000)}\r\n` },
    ];
    await ledger.commit([made]);
    const feed = await start({ delivery: 'core', subject: 'plant.{gateway}.{topic}' });
    await until('both are seen', () => seen.length === 2);
    t.equal(seen[0], 'plant.gw%2E1.a.%00.b%2Ec.%2A%3E%20%C3%BC a//b.c/*%3E%20%C3%BC 1');
    t.match(seen[1], /^plant\.gw%2E1\.x\.x\.[x.]+x (x\/){2000}%0D%0A 2$/, 'cut; the header has it whole');
    await until('feed has reached 2', () => feed.state().cursor === 2);
    const refused = await start({ delivery: 'core', subject: 'forbidden.{gateway}' }, 'refused');
    await until('refused has failed', () => refused.state().failures > 0);
    t.match(refused.state(), { cursor: 0, lastError: /[Pp]ermissions/ });
    const unstored = await start({ subject: 'forbidden.{gateway}' }, 'unstored');
    await until('unstored has failed', () => unstored.state().failures > 0);
    t.match(unstored.state(), { cursor: 0, lastError: /[Pp]ermissions/ });
  },
);

t.test('stops while the server is not there, or says nothing', async (t) => {
  const { server, ledger, start } = await fresh(t);
  await server.kill();
  await ledger.commit([entry({ seqs: [1] })]);
  const feed = await start();
  await until('feed has failed', () => feed.state().failures > 0);
  await feed.stop();
  t.equal(feed.state().cursor, 0, 'it waits for no server');
});

t.test('TLS, trusting the given authority only; a wrong password is told', async (t) => {
  const authority = await createCertificateAuthority(clock, entropy);
  const tls = { ca: authority.ca, ...(await authority.issue('nats', 'server')) };
  const { server, ledger, start } = await fresh(t, tls);
  await ledger.commit([entry({ seqs: [1] })]);
  const options: Partial<NatsFeedOptions> = { delivery: 'core', servers: [`tls://127.0.0.1:${server.port}`] };
  const untrusting = await start(options, 'untrusting');
  await until('untrusting has failed', () => untrusting.state().failures > 0);
  t.match(untrusting.state(), { cursor: 0, lastError: /certificate/ });
  const stranger = await start({ ...options, ca: authority.ca, password: 'wrong' }, 'stranger');
  await until('stranger has failed', () => stranger.state().failures > 0);
  t.match(stranger.state(), { cursor: 0, lastError: /[Aa]uthorization/ });
  t.notMatch(stranger.state().lastError, 'wrong');
  const feed = await start({ ...options, ca: authority.ca });
  await until('feed has reached 1', () => feed.state().cursor === 1);
  t.equal(feed.state().lastError, null);
});

t.test('options', async (t) => {
  const parse = (options: object) => natsFeedOptions.safeParse({ servers: ['nats://h:4222'], ...options });
  t.match(parse({}), { data: { subject: 'readings.{gateway}.{stream}', delivery: 'jetstream' } });
  for (const subject of ['a', 'a.{topic}', 'a-{gateway}.x{stream}y'])
    t.ok(parse({ subject }).success, subject);
  for (const subject of ['', '{gateway}', '$JS.a', 'a.', '.a', 'a..b', 'a.*', 'a.>', 'a b', 'a.{x}']) {
    t.notOk(parse({ subject }).success, subject);
  }
  t.notOk(parse({ servers: [] }).success);
  t.notOk(parse({ servers: ['http://h'] }).success);
});
