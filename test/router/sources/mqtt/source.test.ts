/**
 * The MQTT source against a real broker over sockets: no PUBACK without a settlement (I5), and no message
 * lost.
 */
import t, { type Test } from 'tap';
import { fault } from '../../../../loopback/faults.ts';
import { TcpProxy } from '../../../../loopback/tcp-proxy.ts';
import { type MqttSourceOptions, mqttSourceOptions } from '../../../../router/sources/mqtt/options.ts';
import { MqttSource } from '../../../../router/sources/mqtt/source.ts';
import type { Delivery, Settlement, Source, SourceDeps } from '../../../../router/sources/source.ts';
import { createLogger } from '../../../../shared/log.ts';
import { type Broker, startBroker } from '../../../agent/providers/mqtt/support.ts';
import { deps } from '../../../loopback/gcp-support.ts';
import { until } from '../../../until.ts';
import { HandGate } from '../hand-gate.ts';

t.test('each envelope once, in order, with what the source can tell', async (t) => {
  const broker = await startBroker(t);
  const deliveries: Delivery[] = [];
  const url = `mqtt://127.0.0.1:${broker.port}`;
  const source = await open(t, { url, topic_prefix: 'plant/7' }, async (delivery) => {
    deliveries.push(delivery);
    return 'settle';
  });
  await until('connected', () => source.state().connected);
  for (let i = 0; i < 50; i++) await broker.publish('plant/7/gw-1/vitals', `n${i}`);
  await broker.publish('plant/7/gw-1', 'not an envelope’s topic');
  await broker.publish('plant/8/gw-1/vitals', 'nor this');
  await until('settled === 50', () => source.state().settled === 50);
  t.same(
    deliveries.map(({ bytes }) => Buffer.from(bytes).toString()),
    Array.from({ length: 50 }, (_, i) => `n${i}`),
  );
  t.match(deliveries[0], { source: 'mqtt', authenticatedGateway: null, deliveryCount: null });
  t.match(source.state(), { connected: true, received: 50, settled: 50, lastError: null });
  t.type(source.state().lastReceivedMs, 'number');
});

t.test('where the broker guards the topics, the topic tells the gateway', async (t) => {
  const broker = await startBroker(t);
  const deliveries: Delivery[] = [];
  const url = `mqtt://127.0.0.1:${broker.port}`;
  const source = await open(t, { url, topic_authenticated: true }, async (delivery) => {
    deliveries.push(delivery);
    return 'settle';
  });
  await until('connected', () => source.state().connected);
  await broker.publish('headgate/gw-7/vitals', 'x');
  await until('settled === 1', () => source.state().settled === 1);
  t.match(deliveries[0], { authenticatedGateway: 'gw-7' });
  t.same(deliveries[0]?.properties?.(), { topic: 'headgate/gw-7/vitals', retain: 'false', dup: 'false' });
});

t.test('a message to be retried comes again, and those behind it are not lost', async (t) => {
  const broker = await startBroker(t);
  const seen: string[] = [];
  const source = await open(t, { url: `mqtt://127.0.0.1:${broker.port}` }, async ({ bytes }) => {
    const text = Buffer.from(bytes).toString();
    seen.push(text);
    return text === 'b' && seen.filter((each) => each === 'b').length < 3 ? 'retry' : 'settle';
  });
  await until('connected', () => source.state().connected);
  for (const text of ['a', 'b', 'c', 'd']) await broker.publish('headgate/gw-1/vitals', text);
  await until('settled === 4', () => source.state().settled === 4);
  await broker.publish('headgate/gw-1/vitals', 'e');
  await until('the next', () => source.state().settled === 5);
  t.same(seen, ['a', 'b', 'b', 'b', 'c', 'd', 'e'], 'settled messages do not come again');
  t.match(source.state(), { connected: true, lastError: null }, 'the failure is over');
});

t.test('what is in hand at a stop is waited for, then nothing more is taken', async (t) => {
  const broker = await startBroker(t);
  const settle = Promise.withResolvers<Settlement>();
  const options = { url: `mqtt://127.0.0.1:${broker.port}` };
  const first = await open(t, options, () => settle.promise);
  await until('first.state().connected', () => first.state().connected);
  for (const text of ['a', 'b']) await broker.publish('headgate/gw-1/vitals', text);
  await until('first.state().received === 1', () => first.state().received === 1);
  const stopped = first.stop();
  settle.resolve('settle');
  await stopped;
  t.match(first.state(), { connected: false, received: 1, settled: 1 });
  t.same(await rest(t, broker, options), ['b'], 'acknowledged is acknowledged');
});

t.test('what was not settled at a stop goes to the next source with that client id', async (t) => {
  const broker = await startBroker(t);
  const options = { url: `mqtt://127.0.0.1:${broker.port}` };
  const never = new Promise<Settlement>(() => undefined);
  const first = await open(t, options, () => never);
  await until('first.state().connected', () => first.state().connected);
  for (const text of ['a', 'b']) await broker.publish('headgate/gw-1/vitals', text);
  await until('first.state().received === 1', () => first.state().received === 1);
  await first.stop();
  await broker.publish('headgate/gw-1/vitals', 'while nobody was there');
  t.same(await rest(t, broker, options), ['a', 'b', 'while nobody was there']);
});

t.test('a line that breaks, or is not there at the start, is waited for', async (t) => {
  const broker = await startBroker(t);
  const proxy = new TcpProxy({ targetPort: broker.port, port: 0, ...deps });
  await proxy.start();
  t.after(() => proxy.stop());
  await proxy.setFault(fault('refuse'));
  const source = await open(t, { url: `mqtt://127.0.0.1:${proxy.port}` }, async () => 'settle');
  await until('lastError !== null', () => source.state().lastError !== null);
  t.match(source.state(), { connected: false, lastError: /ECONNREFUSED/ });
  for (const round of [1, 2]) {
    await proxy.setFault(null);
    await until('connected', () => source.state().connected);
    await proxy.setFault(fault('refuse'));
    await until('!connected', () => !source.state().connected);
    await broker.publish('headgate/gw-1/vitals', `x${round}`);
    await proxy.setFault(null);
    await until('settled === round', () => source.state().settled === round);
  }
});

t.test('a refused login is told, and tried again', async (t) => {
  const broker = await startBroker(t);
  broker.refuse(5);
  const delaysMs: number[] = [];
  const write = (line: string): void => {
    const { event, delayMs } = JSON.parse(line);
    if (event === 'source.mqtt.closed') delaysMs.push(delayMs);
  };
  const log = createLogger({ level: 'warn', levels: {} }, { write });
  const source = await open(t, { url: `mqtt://127.0.0.1:${broker.port}` }, async () => 'settle', { log });
  await until('lastError !== null', () => source.state().lastError !== null);
  t.match(source.state(), { connected: false, lastError: /Not authorized/ });
  await until('a third try', () => delaysMs.length >= 3);
  t.ok(
    delaysMs.slice(0, 3).every((delayMs, i) => delayMs >= 125 * 2 ** i),
    `pauses of ${delaysMs} ms`,
  );
  broker.refuse(0);
  await until('connected', () => source.state().connected);
});

t.test(
  'while the ledger does not commit, it stays away from the broker, which keeps the messages',
  async (t) => {
    const broker = await startBroker(t);
    const gate = new HandGate();
    let isAway: boolean = true;
    const handler = async (): Promise<Settlement> => {
      if (isAway) gate.close();
      return isAway ? 'retry' : 'settle';
    };
    const source = await open(t, { url: `mqtt://127.0.0.1:${broker.port}` }, handler, { gate });
    await until('connected', () => source.state().connected);
    for (const text of ['a', 'b']) await broker.publish('headgate/gw-1/vitals', text);
    await until('given back, and waiting', () => gate.waiting > 0 || source.state().received > 1);
    t.equal(source.state().received, 1, 'it waits for the ledger');
    const before = broker.connections();
    isAway = false;
    gate.open();
    await until('settled', () => source.state().settled === 2);
    t.equal(broker.connections(), before + 1, 'one connection, once the ledger was back');
    t.equal(source.state().received, 3, 'a, and both once more');
  },
);

t.test('a broker that goes mute is left, and told apart from one that closes', async (t) => {
  const broker = await startBroker(t);
  const proxy = new TcpProxy({ targetPort: broker.port, port: 0, ...deps });
  await proxy.start();
  t.after(() => proxy.stop());
  const source = await open(t, { url: `mqtt://127.0.0.1:${proxy.port}` }, async () => 'settle');
  await until('connected', () => source.state().connected);
  await proxy.setFault(fault('blackhole'));
  await until('the silence', () => source.state().cuts > 0);
  t.match(source.state(), { connected: false, lastError: /Keepalive timeout|connack timeout/ });
  await proxy.setFault(null);
  await until('connected again', () => source.state().connected);
  t.equal(source.state().lastError, null);
});

t.test('options', async (t) => {
  const options = mqttSourceOptions.parse({ url: 'mqtt://broker' });
  t.match(options, { client_id: 'headgate-router', topic_prefix: 'headgate' });
  t.throws(() => mqttSourceOptions.parse({ url: 'mqtt://broker', max_envelope_bytes: '1MiB' }));
});

/** The messages that a source with these options is given when it starts now. */
async function rest(t: Test, broker: Broker, options: Partial<MqttSourceOptions>): Promise<string[]> {
  const got: string[] = [];
  const source = await open(t, options, async ({ bytes }) => {
    got.push(Buffer.from(bytes).toString());
    return 'settle';
  });
  await until('connected', () => source.state().connected);
  await broker.publish('headgate/gw-1/vitals', 'the last');
  await until('the last', () => got.includes('the last'));
  return got.slice(0, -1);
}

async function open(
  t: Test,
  options: Partial<MqttSourceOptions>,
  handler: (delivery: Delivery) => Promise<Settlement>,
  more: Partial<SourceDeps> = {},
): Promise<Source> {
  const source = new MqttSource('mqtt', mqttSourceOptions.parse(options), { ...deps, ...more });
  await source.start(handler);
  t.after(() => source.stop());
  return source;
}
