/**
 * The MQTT source against a real broker over sockets: no PUBACK without a settlement (I5), and no message
 * lost.
 */
import t, { type Test } from 'tap';
import { fault } from '../../../../loopback/faults.ts';
import { TcpProxy } from '../../../../loopback/tcp-proxy.ts';
import { type MqttSourceOptions, mqttSourceOptions } from '../../../../router/sources/mqtt/options.ts';
import { MqttSource } from '../../../../router/sources/mqtt/source.ts';
import type { Delivery, Settlement, Source } from '../../../../router/sources/source.ts';
import { startBroker } from '../../../agent/providers/mqtt/support.ts';
import { deps, until } from '../../../loopback/gcp-support.ts';

t.test('each envelope once, in order, with what the source can tell', async (t) => {
  const broker = await startBroker(t);
  const deliveries: Delivery[] = [];
  const url = `mqtt://127.0.0.1:${broker.port}`;
  const source = await open(t, { url, topic_prefix: 'plant/7' }, async (delivery) => {
    deliveries.push(delivery);
    return 'settle';
  });
  await until(() => source.state().connected);
  for (let i = 0; i < 50; i++) await broker.publish('plant/7/gw-1/vitals', `n${i}`);
  await broker.publish('plant/7/gw-1', 'not an envelope’s topic');
  await broker.publish('plant/8/gw-1/vitals', 'nor this');
  await until(() => source.state().settled === 50);
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
  await until(() => source.state().connected);
  await broker.publish('headgate/gw-7/vitals', 'x');
  await until(() => source.state().settled === 1);
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
  await until(() => source.state().connected);
  for (const text of ['a', 'b', 'c', 'd']) await broker.publish('headgate/gw-1/vitals', text);
  await until(() => source.state().settled === 4);
  t.same(seen, ['a', 'b', 'b', 'b', 'c', 'd']);
  t.match(source.state(), { lastError: /not committed/ });
  await deps.clock.sleep(100);
  t.equal(seen.length, 6, 'what was settled does not come again');
});

t.test('what is in hand at a stop is waited for, then nothing more is taken', async (t) => {
  const broker = await startBroker(t);
  const settle = Promise.withResolvers<Settlement>();
  const options = { url: `mqtt://127.0.0.1:${broker.port}` };
  const first = await open(t, options, () => settle.promise);
  await until(() => first.state().connected);
  for (const text of ['a', 'b']) await broker.publish('headgate/gw-1/vitals', text);
  await until(() => first.state().received === 1);
  const stopped = first.stop();
  await deps.clock.sleep(100);
  settle.resolve('settle');
  await stopped;
  t.match(first.state(), { connected: false, received: 1, settled: 1 });
  t.same(await rest(t, options), ['b'], 'acknowledged is acknowledged');
});

t.test('what was not settled at a stop goes to the next source with that client id', async (t) => {
  const broker = await startBroker(t);
  const options = { url: `mqtt://127.0.0.1:${broker.port}` };
  const never = new Promise<Settlement>(() => undefined);
  const first = await open(t, options, () => never);
  await until(() => first.state().connected);
  for (const text of ['a', 'b']) await broker.publish('headgate/gw-1/vitals', text);
  await until(() => first.state().received === 1);
  const startMs = deps.clock.monoMs();
  await first.stop();
  t.ok(deps.clock.monoMs() - startMs < 6000);
  await broker.publish('headgate/gw-1/vitals', 'while nobody was there');
  t.same(await rest(t, options), ['a', 'b', 'while nobody was there']);
});

t.test('a line that breaks, or is not there at the start, is waited for', async (t) => {
  const broker = await startBroker(t);
  const proxy = new TcpProxy({ targetPort: broker.port, port: 0, ...deps });
  await proxy.start();
  t.after(() => proxy.stop());
  await proxy.setFault(fault('refuse'));
  const source = await open(t, { url: `mqtt://127.0.0.1:${proxy.port}` }, async () => 'settle');
  await until(() => source.state().lastError !== null);
  t.match(source.state(), { connected: false, lastError: /ECONNREFUSED/ });
  for (const round of [1, 2]) {
    await proxy.setFault(null);
    await until(() => source.state().connected);
    await proxy.setFault(fault('refuse'));
    await until(() => !source.state().connected);
    await broker.publish('headgate/gw-1/vitals', `x${round}`);
    await proxy.setFault(null);
    const tookMs = await until(() => source.state().settled === round);
    t.comment(`read ${Math.round(tookMs)} ms after the line was back`);
  }
});

t.test('a refused login is told, and tried again', async (t) => {
  const broker = await startBroker(t);
  broker.refuse(5);
  const source = await open(t, { url: `mqtt://127.0.0.1:${broker.port}` }, async () => 'settle');
  await until(() => source.state().lastError !== null);
  t.match(source.state(), { connected: false, lastError: /Not authorized/ });
  await deps.clock.sleep(1000);
  t.ok(broker.connections() <= 4, `${broker.connections()} connects in a second`);
  broker.refuse(0);
  await until(() => source.state().connected);
});

t.test('options', async (t) => {
  const options = mqttSourceOptions.parse({ url: 'mqtt://broker' });
  t.match(options, { client_id: 'headgate-router', topic_prefix: 'headgate' });
  t.throws(() => mqttSourceOptions.parse({ url: 'mqtt://broker', max_envelope_bytes: '1MiB' }));
});

/** What a source that starts now with these options is given. */
async function rest(t: Test, options: Partial<MqttSourceOptions>): Promise<string[]> {
  const got: string[] = [];
  const source = await open(t, options, async ({ bytes }) => {
    got.push(Buffer.from(bytes).toString());
    return 'settle';
  });
  await until(() => source.state().connected);
  await deps.clock.sleep(100);
  return got;
}

async function open(
  t: Test,
  options: Partial<MqttSourceOptions>,
  handler: (delivery: Delivery) => Promise<Settlement>,
): Promise<Source> {
  const source = new MqttSource('mqtt', mqttSourceOptions.parse(options), deps);
  await source.start(handler);
  t.after(() => source.stop());
  return source;
}
