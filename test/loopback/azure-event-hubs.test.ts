/**
 * The loopback's Event Hubs compatible endpoint, spoken to in plain AMQP: claims, credit, selectors,
 * annotations, partitions.
 */
import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import rhea, { type Connection, type EventContext, type Message } from 'rhea';
import t, { type Test } from 'tap';
import { fault } from '../../loopback/faults.ts';
import { attempt } from '../attempt.ts';
import { until } from '../until.ts';
import { clock, envelope, type Fixture, openPublisher, startAzure, startReading } from './azure-fixture.ts';

const ADDRESS = 'headgate/ConsumerGroups/$Default/Partitions';

interface Endpoint {
  port: number;
  policy: string;
  key: string;
}

function endpointOf({ cloud }: Fixture): Endpoint {
  const text = JSON.stringify(cloud.routerConfig());
  const part = (pattern: RegExp): string => pattern.exec(text)?.[1] ?? '';
  return {
    port: Number(part(/localhost:(\d+)/)),
    policy: part(/SharedAccessKeyName=([^;]+)/),
    key: part(/SharedAccessKey=([^;]+)/),
  };
}

function connect(t: Test, fixture: Fixture): Connection {
  const container = rhea.create_container();
  container.on('disconnected', () => undefined);
  const connection = container.connect({
    host: 'localhost',
    port: endpointOf(fixture).port,
    transport: 'tls',
    ca: readFileSync(fixture.caFile),
    username: 'x',
    reconnect: false,
  });
  t.teardown(() => connection.close());
  return connection;
}

/** Puts a token for an address on `$cbs`; the status code of the answer. */
function putToken(
  connection: Connection,
  { port, policy }: Endpoint,
  key: string,
  address: string,
): Promise<number> {
  const audience = `sb://localhost:${port}/${address}`;
  const resource = encodeURIComponent(audience);
  const expiry = Math.floor(clock.wallMs() / 1000) + 60;
  const signature = createHmac('sha256', key).update(`${resource}\n${expiry}`).digest('base64');
  const replies = connection.open_receiver({ source: '$cbs', name: `replies-${address}` });
  const sender = connection.open_sender('$cbs');
  return new Promise((resolve) => {
    replies.on('message', ({ message }: EventContext) =>
      resolve(message?.application_properties?.['status-code']),
    );
    sender.once('sendable', () =>
      sender.send({
        message_id: 'm1',
        reply_to: `replies-${address}`,
        application_properties: {
          operation: 'put-token',
          name: audience,
          type: 'servicebus.windows.net:sastoken',
        },
        body: `SharedAccessSignature sr=${resource}&sig=${encodeURIComponent(signature)}&se=${expiry}&skn=${policy}`,
      }),
    );
  });
}

interface Received {
  messages: Message[];
  addCredit: (credit: number) => void;
  /** Whether the server has answered the attach. */
  isAttached: () => boolean;
  /** The condition that the link was closed with. */
  refusal: Promise<string>;
}

function receive(connection: Connection, partition: number, clause: string): Received {
  const messages: Message[] = [];
  const receiver = connection.open_receiver({
    source: {
      address: `${ADDRESS}/${partition}`,
      filter: { 'apache.org:selector-filter:string': rhea.types.wrap_described(clause, 0x468c00000004) },
    },
    credit_window: 0,
  });
  receiver.on('message', ({ message }: EventContext) => {
    if (message) messages.push(message);
  });
  const refusal = new Promise<string>((resolve) => {
    receiver.on('receiver_error', () => {
      const error = receiver.error;
      resolve(error && 'condition' in error ? String(error.condition) : '');
    });
  });
  let isAttached: boolean = false;
  receiver.on('receiver_open', () => {
    isAttached = true;
  });
  return {
    messages,
    addCredit: (credit) => receiver.add_credit(credit),
    isAttached: () => isAttached,
    refusal,
  };
}

/** Partition in which a gateway's events land, found by asking. */
async function partitionOf(connection: Connection): Promise<number> {
  const readers = [0, 1].map((partition) =>
    receive(connection, partition, "amqp.annotation.x-opt-offset > '-1'"),
  );
  for (const { addCredit } of readers) addCredit(1);
  await until('an event', () => readers.some(({ messages }) => messages.length > 0));
  return readers.findIndex(({ messages }) => messages.length > 0);
}

t.test(
  'credit is honoured, a selector says where to begin, events carry what IoT Hub puts on them',
  async (t) => {
    const fixture = await startAzure(t);
    const publisher = await openPublisher(t, fixture.cloud.agentConfig('gw-1'));
    for (const text of ['a', 'b', 'c', 'd', 'e']) await publisher.publish(envelope(text), attempt(8000));
    const endpoint = endpointOf(fixture);
    const connection = connect(t, fixture);
    for (const n of [0, 1])
      t.equal(await putToken(connection, endpoint, endpoint.key, `${ADDRESS}/${n}`), 202);
    const partition = await partitionOf(connection);
    const all = receive(connection, partition, "amqp.annotation.x-opt-offset > '-1'");
    const deliveredBefore = fixture.cloud.meter().delivered;
    all.addCredit(2);
    await until('two events', () => all.messages.length === 2);
    t.equal(fixture.cloud.meter().delivered - deliveredBefore, 2, 'no more than the credit');
    all.addCredit(10);
    await until('all events', () => all.messages.length === 5);
    t.strictSame(
      all.messages.map(({ body }) => body.content.toString()),
      ['a', 'b', 'c', 'd', 'e'],
    );
    const [first, second] = all.messages;
    t.match(first, {
      message_annotations: {
        'iothub-connection-device-id': 'gw-1',
        'x-opt-sequence-number': 0,
        'x-opt-offset': '0',
        'x-opt-enqueued-time': Date,
        'iothub-enqueuedtime': Date,
      },
      application_properties: { hg: '1', gw: 'gw-1', st: 'vibration', first: '1', last: '3', n: '3' },
    });
    const offset = second?.message_annotations?.['x-opt-offset'];
    const clauses = [
      [`amqp.annotation.x-opt-offset > '${offset}'`, 'c'],
      [`amqp.annotation.x-opt-offset >= '${offset}'`, 'b'],
      ["amqp.annotation.x-opt-sequence-number > '3'", 'e'],
    ] as const;
    for (const [clause, expected] of clauses) {
      const reader = receive(connection, partition, clause);
      reader.addCredit(1);
      await until(clause, () => reader.messages.length === 1);
      t.equal(reader.messages[0]?.body.content.toString(), expected, clause);
    }
    const latest = receive(connection, partition, "amqp.annotation.x-opt-offset > '@latest'");
    latest.addCredit(5);
    await until('the link stands', latest.isAttached);
    await publisher.publish(envelope('f'), attempt(8000));
    await until('the newest', () => latest.messages.length === 1);
    t.equal(latest.messages[0]?.body.content.toString(), 'f');
  },
);

t.test('a wrong key is refused on $cbs, and without a claim there is no link', async (t) => {
  const fixture = await startAzure(t);
  const endpoint = endpointOf(fixture);
  const connection = connect(t, fixture);
  t.equal(await putToken(connection, endpoint, 'wrong', `${ADDRESS}/0`), 401);
  t.equal(
    await receive(connection, 0, "amqp.annotation.x-opt-offset > '-1'").refusal,
    'amqp:unauthorized-access',
  );
  t.equal(await putToken(connection, endpoint, endpoint.key, `${ADDRESS}/1`), 202);
  t.equal(
    await receive(connection, 0, "amqp.annotation.x-opt-offset > '-1'").refusal,
    'amqp:unauthorized-access',
    'a claim for one partition is not one for another',
  );
  t.equal(fixture.cloud.meter().delivered, 0);
});

t.test('a device keeps its partition and its order; two partitions are in use', async (t) => {
  const { cloud } = await startAzure(t);
  const gateways = ['gw-1', 'gw-2', 'gw-3', 'gw-4'];
  for (const gateway of gateways) {
    const publisher = await openPublisher(t, cloud.agentConfig(gateway));
    for (const n of [1, 2, 3]) await publisher.publish(envelope(`${gateway} ${n}`, gateway), attempt(8000));
  }
  const reading = await startReading(t, { config: cloud.routerConfig() });
  await until('all events', () => reading.deliveries.length === 12);
  for (const gateway of gateways) {
    const mine = reading.deliveries.filter(({ authenticatedGateway }) => authenticatedGateway === gateway);
    t.strictSame(
      mine.map(({ bytes }) => Buffer.from(bytes).toString()),
      [1, 2, 3].map((n) => `${gateway} ${n}`),
    );
  }
  t.match(cloud.meter(), { accepted: 12, delivered: 12, settled: 12 });
});

t.test('reorder shuffles within its window and loses nothing', async (t) => {
  const { cloud } = await startAzure(t);
  await cloud.setFault(fault('reorder'));
  const publisher = await openPublisher(t, cloud.agentConfig('gw-1'));
  const sent = Array.from({ length: 20 }, (_, n) => String(n));
  await Promise.all(sent.map((text) => publisher.publish(envelope(text), attempt(8000))));
  const reading = await startReading(t, { config: cloud.routerConfig() });
  await until('all events', () => reading.deliveries.length === 20);
  t.strictSame(new Set(reading.texts()), new Set(sent));
  t.equal(reading.deliveries.length, 20);
  t.notSame(reading.texts(), sent);
});
