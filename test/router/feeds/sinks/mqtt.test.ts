import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { createServer as createTlsServer } from 'node:tls';
import { Aedes } from 'aedes';
import { connectAsync } from 'mqtt';
import t, { type Test } from 'tap';
import { createCertificateAuthority } from '../../../../loopback/ca.ts';
import { Feed } from '../../../../router/feeds/feed.ts';
import { feedTopic, MqttSink } from '../../../../router/feeds/sinks/mqtt.ts';
import { type MqttFeedOptions, mqttFeedOptions } from '../../../../router/feeds/sinks/mqtt-options.ts';
import { openSqliteLedger } from '../../../../router/ledger/sqlite/engine.ts';
import { systemClock as clock } from '../../../../shared/clock.ts';
import { systemEntropy } from '../../../../shared/entropy.ts';
import { createLogger } from '../../../../shared/log.ts';
import { testDir } from '../../../test-dir.ts';
import { until } from '../../../until.ts';
import { entry, record, seqs } from '../../ledger/envelopes.ts';

type Configure = (broker: Aedes) => void;

/** An aedes broker on a port; `stop` cuts its connections. */
async function startBroker(
  t: Test,
  configure: Configure = () => undefined,
  port = 0,
  tls?: { cert: string; key: string },
) {
  const broker = await Aedes.createBroker();
  configure(broker);
  const sockets = new Set<Socket>();
  const serve = (socket: Socket): void => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    broker.handle(socket);
  };
  const server: Server = tls ? createTlsServer(tls, serve) : createServer(serve);
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  let stopped: Promise<void> | null = null;
  const stop = (): Promise<void> => {
    stopped ??= (async () => {
      const closed = once(server, 'close');
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
      await new Promise<void>((resolve) => broker.close(() => resolve()));
    })();
    return stopped;
  };
  t.teardown(stop);
  return { port: typeof address === 'object' && address ? address.port : 0, stop };
}

/** Everything that the broker lets through, as `topic payload`. */
async function subscribe(t: Test, port: number): Promise<string[]> {
  const messages: string[] = [];
  const client = await connectAsync(`mqtt://127.0.0.1:${port}`);
  t.teardown(() => client.endAsync(true));
  client.on('message', (topic, payload) => messages.push(`${topic} ${payload}`));
  await client.subscribeAsync('#', { qos: 1 });
  return messages;
}

async function fresh(t: Test) {
  const log = createLogger({ level: 'silent', levels: {} });
  const ledger = await openSqliteLedger({ file: join(testDir(t), 'ledger.db'), clock, log });
  t.teardown(() => ledger.close());
  const start = async (
    options: Partial<MqttFeedOptions> & { url: string },
    batchRecords = 10,
  ): Promise<Feed> => {
    const sink = new MqttSink('plant', mqttFeedOptions.parse(options), clock);
    const feed = new Feed({
      name: 'plant',
      ledger,
      sink,
      clock,
      entropy: systemEntropy,
      log,
      batchRecords,
    });
    await feed.start();
    t.teardown(() => feed.stop());
    return feed;
  };
  return { ledger, start };
}

t.test('every record is published once, in order, with its bytes', async (t) => {
  const broker = await startBroker(t);
  const messages = await subscribe(t, broker.port);
  const { ledger, start } = await fresh(t);
  await ledger.commit([entry({ seqs: seqs(1, 35) })]);
  const feed = await start({ url: `mqtt://127.0.0.1:${broker.port}` });
  await until('all records arrive', () => feed.state().cursor === 35 && messages.length === 35);
  t.strictSame(
    messages,
    seqs(1, 35).map((seq) => `headgate/gw-1/${record(seq).topic} ${seq}`),
  );
  const binary = entry({ seqs: [36] });
  binary.envelope.records = [{ ...record(36), payload: Buffer.of() }];
  await ledger.commit([binary]);
  feed.notify();
  await until('the last record arrives', () => messages.length === 36);
  t.equal(messages[35], 'headgate/gw-1/plant/device-0/temp ');
  await feed.stop();
});

t.test('the cursor moves only after the PUBACK', async (t) => {
  const held: (() => void)[] = [];
  let acknowledged = 0;
  const broker = await startBroker(t, (broker) => {
    broker.authorizePublish = (_client, _packet, callback) => {
      held.push(() => callback(null));
    };
    broker.on('publish', (_packet, client) => {
      if (client) acknowledged += 1;
    });
  });
  const { ledger, start } = await fresh(t);
  await ledger.commit([entry({ seqs: [1, 2, 3] })]);
  const feed = await start({ url: `mqtt://127.0.0.1:${broker.port}` });
  await until('three publishes are held', () => held.length === 3);
  t.equal((await ledger.loadFeedPosition('plant')).offset, 0, 'published, not acknowledged');
  held[0]?.();
  held[1]?.();
  await until('the broker has taken two publishes', () => acknowledged === 2);
  t.equal((await ledger.loadFeedPosition('plant')).offset, 0, 'one PUBACK is missing');
  held[2]?.();
  await until('the feed reaches 3', () => feed.state().cursor === 3);
  t.equal((await ledger.loadFeedPosition('plant')).offset, 3);
});

t.test(
  'a broker that dies before its PUBACKs gets the batch again: repeats, and skips nothing',
  async (t) => {
    const seen: number[] = [];
    const note: Configure = (broker) => {
      broker.authorizePublish = (_client, packet, callback) => {
        seen.push(Number(packet.payload.toString()));
        // The first batch is acknowledged in part: up to 12.
        if (seen.length <= 12) callback(null);
      };
    };
    const first = await startBroker(t, note);
    const { ledger, start } = await fresh(t);
    await ledger.commit([entry({ seqs: seqs(1, 30) })]);
    const feed = await start({ url: `mqtt://127.0.0.1:${first.port}` });
    await until('two batches are seen', () => seen.length === 20);
    await first.stop();
    await until('a write fails', () => feed.state().failures > 0);
    t.match(feed.state(), { cursor: 10, lastError: /lost|closed|refused/i });
    const second = await startBroker(
      t,
      (broker) => {
        broker.authorizePublish = (_client, packet, callback) => {
          seen.push(Number(packet.payload.toString()));
          callback(null);
        };
      },
      first.port,
    );
    await until('the feed reaches 30', () => feed.state().cursor === 30);
    t.strictSame(seen, [...seqs(1, 20), ...seqs(11, 30)]);
    t.equal(feed.state().lastError, null);
    await feed.stop();
    await second.stop();
  },
);

t.test('a broker that goes away between batches is found again', async (t) => {
  const first = await startBroker(t);
  const { ledger, start } = await fresh(t);
  await ledger.commit([entry({ seqs: [1] })]);
  const feed = await start({ url: `mqtt://127.0.0.1:${first.port}` });
  await until('the feed reaches 1', () => feed.state().cursor === 1);
  await first.stop();
  const second = await startBroker(t, undefined, first.port);
  const messages = await subscribe(t, second.port);
  await ledger.commit([entry({ seqs: [2] })]);
  feed.notify();
  await until('a message arrives', () => messages.length > 0);
  t.match(messages, [/ 2$/]);
  await feed.stop();
});

t.test('logs in over TLS, trusting the given authority only', async (t) => {
  const authority = await createCertificateAuthority(clock, systemEntropy);
  const certificate = await authority.issue('broker', 'server');
  const logins: string[] = [];
  const broker = await startBroker(
    t,
    (broker) => {
      broker.authenticate = (client, username, password, done) => {
        logins.push(`${client.id} ${username} ${password}`);
        done(null, true);
      };
    },
    0,
    certificate,
  );
  const { ledger, start } = await fresh(t);
  await ledger.commit([entry({ seqs: [1] })]);
  const url = `mqtts://127.0.0.1:${broker.port}`;
  const untrusting = await start({ url });
  await until('the handshake fails', () => untrusting.state().failures > 0);
  t.match(untrusting.state(), { cursor: 0, lastError: /certificate/ });
  await untrusting.stop();
  const feed = await start({ url, ca: authority.ca, username: 'plant', password: 's3cret' });
  await until('the feed reaches 1', () => feed.state().cursor === 1);
  t.strictSame(logins, ['headgate-feed-plant plant s3cret']);
  await feed.stop();
});

t.test('stops while the broker is not there', async (t) => {
  const broker = await startBroker(t);
  await broker.stop();
  const { ledger, start } = await fresh(t);
  await ledger.commit([entry({ seqs: [1] })]);
  const feed = await start({ url: `mqtt://127.0.0.1:${broker.port}` });
  await until('a write fails', () => feed.state().failures > 0);
  t.match(feed.state().lastError, /ECONNREFUSED/);
  await feed.stop();
});

t.test('closing ends a write that waits for a broker that says nothing', async (t) => {
  const sockets: Socket[] = [];
  const server = createServer((socket) => sockets.push(socket));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const address = server.address();
  const port = typeof address === 'object' && address ? address.port : 0;
  const { ledger } = await fresh(t);
  await ledger.commit([entry({ seqs: [1] })]);
  const sink = new MqttSink('plant', mqttFeedOptions.parse({ url: `mqtt://127.0.0.1:${port}` }), clock);
  const rejected = t.rejects(sink.write(await ledger.read(0, 1)), { message: /lost|closed/i });
  await until('the sink connects', () => sockets.length === 1);
  await sink.close();
  await rejected;
});

t.test('topics: odd names cannot make the broker refuse them', async (t) => {
  const { ledger } = await fresh(t);
  const odd = entry({ gateway: 'gw/+', seqs: [1] });
  odd.envelope.records = [{ ...record(1), device: '#/a\0', topic: 'a/+/b' }];
  const long = entry({ seqs: [1] });
  long.envelope.records = [{ ...record(1), topic: '€'.repeat(60_000) }];
  await ledger.commit([odd, long]);
  const [first, second] = await ledger.read(0, 2);
  if (!first || !second) throw new Error('nothing to read');
  t.equal(feedTopic('x/{gateway}/{device}/{topic}', first), 'x/gw__/__a_/a/_/b');
  t.equal(feedTopic('{unknown}/{stream}', first), '{unknown}/telemetry');
  t.equal(
    feedTopic('x/{topic}', second),
    `x/${'€'.repeat(21_844)}`,
    'cut at 65,535 bytes, between characters',
  );
});

t.test('options', async (t) => {
  const url = 'mqtt://broker:1883';
  t.strictSame(mqttFeedOptions.parse({ url }), {
    url,
    topic: 'headgate/{gateway}/{topic}',
    message: 'payload',
  });
  for (const topic of ['{topic}', '$SYS/{topic}', 'a/+/b', 'a/#', 'a/{seq}', 'a/{', '']) {
    t.notOk(mqttFeedOptions.safeParse({ url, topic }).success, JSON.stringify(topic));
  }
  t.ok(mqttFeedOptions.safeParse({ url, topic: 'a b/{stream}/{device}/ü/{topic}' }).success);
  for (const bad of ['broker:1883', 'http://broker', '']) {
    t.notOk(mqttFeedOptions.safeParse({ url: bad }).success, JSON.stringify(bad));
  }
});
