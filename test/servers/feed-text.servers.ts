/**
 * Property: any valid topic, client id and payload comes out of every feed byte for byte, through real
 * servers: PostgreSQL, NATS, JetStream and mosquitto.
 */
import { join } from 'node:path';
import { jetstreamManager } from '@nats-io/jetstream';
import { connect, type MsgHdrs } from '@nats-io/transport-node';
import fc from 'fast-check';
import { connectAsync } from 'mqtt';
import pg from 'pg';
import t, { type Test } from 'tap';
import { Feed } from '../../router/feeds/feed.ts';
import type { FeedSink } from '../../router/feeds/sink.ts';
import { MqttSink } from '../../router/feeds/sinks/mqtt.ts';
import { mqttFeedOptions } from '../../router/feeds/sinks/mqtt-options.ts';
import { NatsSink, natsFeedOptions } from '../../router/feeds/sinks/nats.ts';
import { PostgresSink } from '../../router/feeds/sinks/postgres.ts';
import { postgresFeedOptions } from '../../router/feeds/sinks/postgres-options.ts';
import { openSqliteLedger } from '../../router/ledger/sqlite/engine.ts';
import { systemClock as clock } from '../../shared/clock.ts';
import { systemEntropy as entropy } from '../../shared/entropy.ts';
import { createLogger } from '../../shared/log.ts';
import { topicNameProblem } from '../../shared/policy/topic-filter.ts';
import type { TelemetryRecord } from '../../shared/record.ts';
import { entry, record } from '../router/ledger/envelopes.ts';
import { testDir } from '../test-dir.ts';
import { until } from '../until.ts';
import { mosquitto, PASSWORD, USERNAME } from './mosquitto.ts';
import { clientOptions, LOGIN, natsServer } from './nats.ts';
import { postgres } from './postgres.ts';

const log = createLogger({ level: 'silent', levels: {} });
const RECORDS = 400;
const SEED = 11;

/** Of MQTT 3.1.1: not empty, well-formed, without U+0000; a topic name without wildcards. */
const odd = fc.constantFrom(
  '\ufeff',
  '\ufffe',
  '\uffff',
  '\u{10ffff}',
  '\u0001',
  '\r\n',
  '%2F',
  '/',
  ' ',
  "'",
);
const text = fc
  .array(fc.oneof(odd, fc.string({ unit: 'binary', maxLength: 12 })), { minLength: 1, maxLength: 6 })
  .map((parts) => parts.join('').replaceAll('\0', '').toWellFormed())
  .filter((name) => name !== '');
const topic = text
  .map((name) => name.replaceAll(/[+#]/g, ''))
  .filter((name) => topicNameProblem(name) === null);
const JSON_TEXTS = ['{"a":1,"a":2}', ' {"b":1.50e1,"a":-0}\n', '"\\ud800"', '"\\u0000"', '1e400', '\ufeff{}'];
const payload = fc.oneof(
  fc.uint8Array({ maxLength: 60 }),
  text.map((value) => new TextEncoder().encode(value)),
  fc.constantFrom(...JSON_TEXTS).map((value) => new TextEncoder().encode(value)),
  fc.jsonValue().map((value) => new TextEncoder().encode(JSON.stringify(value, null, 1))),
);

function sampled(topics: fc.Arbitrary<string>): TelemetryRecord[] {
  return fc
    .sample(fc.record({ topic: topics, device: text, payload }), { numRuns: RECORDS, seed: SEED })
    .map((one, i) => ({ ...record(i + 1), ...one }));
}

const RECORDS_ALL = sampled(topic);
/**
 * mosquitto refuses topics with control characters and non-characters, as MQTT 3.1.1 allows a receiver
 * (1.5.3).
 */
const REFUSED_BY_MOSQUITTO = /[\p{Cc}\p{Noncharacter_Code_Point}]/u;
const RECORDS_MOSQUITTO = sampled(topic.filter((name) => !REFUSED_BY_MOSQUITTO.test(name)));

/** Of each record what has to come out, in its order. */
const expected = RECORDS_ALL.map(line);

function line({ seq, device, topic: name, payload: bytes }: Omit<TelemetryRecord, 'monoMs'>): string {
  const hex = (bytesOf: string | Uint8Array): string => Buffer.from(bytesOf).toString('hex');
  return `${seq} device=${hex(device)} topic=${hex(name)} payload=${hex(bytes)}`;
}

/** Delivers all records through the sink. */
async function deliver(t: Test, dir: string, sink: FeedSink, records = RECORDS_ALL): Promise<void> {
  const made = entry({ seqs: [] });
  made.envelope.records = records;
  const ledger = await openSqliteLedger({ file: join(dir, 'ledger.db'), clock, log });
  t.teardown(() => ledger.close());
  await ledger.commit([made]);
  const feed = new Feed({ name: 'text', ledger, sink, clock, entropy, log });
  t.teardown(() => feed.stop());
  await feed.start();
  await until('all are delivered, or one is refused', () => {
    const { cursor, refused } = feed.state();
    return cursor === RECORDS || refused !== null;
  });
  t.match(feed.state(), { cursor: RECORDS, refused: null, lastError: null });
}

t.test('PostgreSQL, with json: false', async (t) => {
  const server = await postgres();
  t.teardown(() => server.remove());
  await server.start();
  await deliver(
    t,
    testDir(t),
    new PostgresSink('text', postgresFeedOptions.parse({ url: server.url, json: false }), { clock, log }),
  );
  const client = new pg.Client({ connectionString: server.url });
  await client.connect();
  t.teardown(() => client.end());
  const { rows } = await client.query<{ seq: number; device: string; topic: string; payload: Buffer }>(
    'SELECT seq::integer, device, topic, payload_bytes AS payload FROM public.headgate_record ORDER BY seq',
  );
  t.same(rows.map(line), expected);
});

t.test('PostgreSQL: JSON payloads keep their values', async (t) => {
  const server = await postgres();
  t.teardown(() => server.remove());
  await server.start();
  await deliver(
    t,
    testDir(t),
    new PostgresSink('text', postgresFeedOptions.parse({ url: server.url }), { clock, log }),
  );
  const client = new pg.Client({ connectionString: server.url });
  await client.connect();
  t.teardown(() => client.end());
  const { rows } = await client.query<{ seq: number; json: string | null; bytes: Buffer | null }>(
    'SELECT seq::integer, payload::text AS json, payload_bytes AS bytes FROM public.headgate_record ORDER BY seq',
  );
  const wrong = rows.filter(({ seq, json, bytes }) => {
    const sent = Buffer.from(RECORDS_ALL[seq - 1]?.payload ?? []);
    if (bytes !== null) return Buffer.compare(bytes, sent) !== 0;
    return !t.same(JSON.parse(json ?? ''), JSON.parse(sent.toString()));
  });
  t.same(wrong, []);
  t.equal(rows.length, RECORDS);
});

for (const delivery of ['core', 'jetstream'] as const) {
  t.test(`NATS, delivery: ${delivery}`, async (t) => {
    const dir = testDir(t);
    const server = await natsServer(dir);
    t.teardown(() => server.kill());
    await server.start();
    const nats = await connect(clientOptions(server.port));
    t.teardown(() => nats.close());
    const manager = await jetstreamManager(nats);
    await manager.streams.add({ name: 'text', subjects: ['text.>'] });
    const seen: string[] = [];
    const take = (subject: string, headers: MsgHdrs | undefined, data: Uint8Array): void => {
      const header = (name: string): string => decodeURIComponent(headers?.get(`Headgate-${name}`) ?? '');
      // {topic} is what follows the two first tokens; a record's topic is never cut here.
      const tokens = subject.split('.').slice(2).map(decodeURIComponent);
      t.equal(tokens.map((token) => (token === '\0' ? '' : token)).join('/'), header('Topic'));
      const [seq, device, name] = [Number(header('Seq')), header('Device'), header('Topic')];
      seen.push(line({ seq, device, topic: name, payload: data }));
    };
    if (delivery === 'core')
      nats.subscribe('text.>', { callback: (_error, one) => take(one.subject, one.headers, one.data) });
    await nats.flush();
    const options = {
      servers: [`nats://127.0.0.1:${server.port}`],
      ...LOGIN,
      delivery,
      subject: 'text.{device}.{topic}',
    };
    await deliver(t, dir, new NatsSink('text', natsFeedOptions.parse(options), clock));
    if (delivery === 'jetstream') {
      for (let seq = 1; seq <= RECORDS; seq++) {
        const one = await manager.streams.getMessage('text', { seq });
        if (one) take(one.subject, one.header, one.data);
      }
    }
    await until('all are read', () => seen.length >= RECORDS);
    t.same(seen, expected);
  });
}

for (const message of ['payload', 'record'] as const) {
  t.test(`mosquitto, message: ${message}`, async (t) => {
    const dir = testDir(t);
    const server = await mosquitto(dir);
    t.teardown(() => server.stop());
    await server.start();
    const url = `mqtt://127.0.0.1:${server.port}`;
    const login = { username: USERNAME, password: PASSWORD };
    const reader = await connectAsync(url, { ...login, reconnectPeriod: 0 });
    t.teardown(() => reader.endAsync());
    const seen: string[] = [];
    reader.on('message', (name, bytes) => {
      const seq = seen.length + 1;
      const sent = RECORDS_MOSQUITTO[seq - 1];
      if (message === 'payload') {
        // The message has no more than topic and payload.
        seen.push(line({ seq, device: sent?.device ?? '', topic: name.slice('t/'.length), payload: bytes }));
        return;
      }
      const read = JSON.parse(bytes.toString());
      t.equal(name, `t/${read.topic}`);
      const content = Buffer.from(
        read.payload_base64 ?? read.payload,
        read.payload_base64 === undefined ? 'utf8' : 'base64',
      );
      seen.push(line({ seq: read.seq, device: read.device, topic: read.topic, payload: content }));
    });
    await reader.subscribeAsync('t/#', { qos: 1 });
    const options = mqttFeedOptions.parse({ url, ...login, topic: 't/{topic}', message });
    await deliver(t, dir, new MqttSink('text', options, clock), RECORDS_MOSQUITTO);
    await until('all are read', () => seen.length >= RECORDS);
    t.same(seen, RECORDS_MOSQUITTO.map(line));
  });
}
