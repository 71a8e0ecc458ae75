/** The Event Hubs source, with the vendor's SDK over TLS, against the loopback hub. */
import t, { type Test } from 'tap';
import type { OutboundEnvelope, Publisher } from '../../../../agent/providers/publisher.ts';
import { fault } from '../../../../loopback/faults.ts';
import { TcpProxy } from '../../../../loopback/tcp-proxy.ts';
import { eventHubsOptions } from '../../../../router/sources/event-hubs/options.ts';
import { parseShares } from '../../../../router/sources/event-hubs/shares.ts';
import type { Settlement } from '../../../../router/sources/source.ts';
import { createLogger } from '../../../../shared/log.ts';
import { attempt } from '../../../attempt.ts';
import {
  clock,
  entropy,
  envelope,
  type Fixture,
  memoryCheckpoints,
  openPublisher,
  startAzure,
  startReading,
  withConnectionString,
} from '../../../loopback/azure-fixture.ts';
import { until } from '../../../until.ts';
import { HandGate } from '../hand-gate.ts';

async function start(
  t: Test,
): Promise<Fixture & { publisher: Publisher; send: (...texts: string[]) => Promise<void> }> {
  const fixture = await startAzure(t);
  const publisher = await openPublisher(t, fixture.cloud.agentConfig('gw-1'));
  const send = async (...texts: string[]): Promise<void> => {
    for (const text of texts)
      t.equal((await publisher.publish(marked(text), attempt(8000))).kind, 'accepted', `sent ${text}`);
  };
  return { ...fixture, publisher, send };
}

function marked(text: string): OutboundEnvelope {
  const sent = envelope(text);
  return { ...sent, properties: { ...sent.properties, why: 'failover' } };
}

/** Sequence numbers of the checkpoints in the store. */
function places(saved: Map<string, string>): number[] {
  return [...saved.values()].flatMap((text) =>
    Object.values(parseShares(text).partitions).flatMap(({ position }) => position?.sequenceNumber ?? []),
  );
}

t.test('reads from the oldest event, and after a restart from its checkpoint', async (t) => {
  const { cloud, send } = await start(t);
  const checkpoints = memoryCheckpoints();
  await send('1', '2', '3');
  const first = await startReading(t, { config: cloud.routerConfig(), checkpoints });
  await until('three events', () => first.deliveries.length === 3);
  await first.source.stop();
  t.match(first.source.state(), { connected: false, received: 3, settled: 3, lastReceivedMs: Number });
  t.strictSame(places(checkpoints.saved), [2], 'saved at the stop');
  await send('4', '5');
  const second = await startReading(t, { config: cloud.routerConfig(), checkpoints });
  await until('two events', () => second.deliveries.length === 2);
  await send('6');
  await until('the next', () => second.deliveries.length === 3);
  t.strictSame(second.texts(), ['4', '5', '6']);
});

t.test('the device that the hub authenticated, and what else it says', async (t) => {
  const { cloud, send } = await start(t);
  const { deliveries } = await startReading(t, { config: cloud.routerConfig() });
  await send('1');
  await until('the event', () => deliveries.length === 1);
  t.match(deliveries[0], { authenticatedGateway: 'gw-1', sentAs: 'failover' });
  const enqueuedAgoMs = clock.wallMs() - (deliveries[0]?.enqueuedWallMs ?? 0);
  t.ok(Math.abs(enqueuedAgoMs) < 10_000, `enqueued ${enqueuedAgoMs} ms ago`);
  t.match(deliveries[0]?.properties?.(), {
    sequenceNumber: '0',
    'iothub-connection-device-id': 'gw-1',
    enqueued: /^20/,
  });
});

t.test('the checkpoint never passes an event that is not settled (I5)', async (t) => {
  const { cloud, send } = await start(t);
  const checkpoints = memoryCheckpoints();
  let refuse = true;
  const reading = await startReading(t, {
    config: cloud.routerConfig(),
    checkpoints,
    answer: (text) => (text === '2' && refuse ? 'retry' : 'settle'),
  });
  await send('1', '2', '3', '4');
  await until('the others', () => reading.source.state().settled === 3);
  await until('the checkpoint of the first', () => places(checkpoints.saved)[0] === 0);
  const tries = (): number => reading.texts().filter((text) => text === '2').length;
  const before = tries();
  await until('more tries of 2', () => tries() > before + 1);
  t.strictSame(places(checkpoints.saved), [0], '3 and 4 are settled, the place is still before 2');
  refuse = false;
  await until('everything', () => reading.source.state().settled === 4);
  await until('the checkpoint', () => places(checkpoints.saved)[0] === 3);
});

t.test('an event that is retried stops its partition within the window (I10)', async (t) => {
  const { cloud, publisher } = await start(t);
  const reading = await startReading(t, {
    config: cloud.routerConfig(),
    answer: (text) => (text === '0' ? 'retry' : 'settle'),
  });
  await Promise.all(Array.from({ length: 60 }, (_, n) => publisher.publish(envelope(`${n}`), attempt(8000))));
  await until('the window', () => reading.source.state().settled === 31);
  const tries = (): number => reading.texts().filter((text) => text === '0').length;
  const before = tries();
  await until('more tries of the first', () => tries() > before + 1);
  t.match(reading.source.state(), { received: 32, settled: 31 });
});

t.test('stop waits for what is in hand, and what was not settled comes again', async (t) => {
  const { cloud, send } = await start(t);
  const checkpoints = memoryCheckpoints();
  const free = Promise.withResolvers<void>();
  const slow = await startReading(t, {
    config: cloud.routerConfig(),
    checkpoints,
    answer: async (text) => {
      await free.promise;
      return text === '3' ? 'retry' : 'settle';
    },
  });
  await send('1', '2', '3', '4');
  await until('four events', () => slow.deliveries.length === 4);
  const stopping = slow.source.stop();
  free.resolve();
  await until('those in hand are finished', () => slow.source.state().settled === 3);
  t.strictSame(slow.texts(), ['1', '2', '3', '4'], 'nothing is tried again while stopping');
  await stopping;
  t.strictSame(places(checkpoints.saved), [1]);
  const next = await startReading(t, { config: cloud.routerConfig(), checkpoints });
  await until('3 and 4', () => next.deliveries.length === 2);
  t.strictSame(next.texts(), ['3', '4']);
});

t.test('a cut connection loses nothing and does not go back to the start', async (t) => {
  const { cloud, send } = await start(t);
  const reading = await startReading(t, { config: cloud.routerConfig() });
  await send('1', '2');
  await until('two events', () => reading.deliveries.length === 2);
  cloud.cutConsumers();
  await until('the loss', () => !reading.source.state().connected);
  t.type(reading.source.state().lastError, 'string');
  await send('3');
  await until('the third', () => reading.deliveries.length === 3);
  t.strictSame(reading.texts(), ['1', '2', '3']);
  t.match(reading.source.state(), { connected: true, lastError: null });
});

t.test('tells how many events are not settled, from its checkpoint on', async (t) => {
  const { cloud, send } = await start(t);
  const checkpoints = memoryCheckpoints();
  await send('1', '2');
  const first = await startReading(t, { config: cloud.routerConfig(), checkpoints });
  await until('two events', () => first.source.state().settled === 2);
  await first.source.stop();
  await send('3', '4', '5');
  const free = Promise.withResolvers<void>();
  const reading = await startReading(t, {
    config: cloud.routerConfig(),
    checkpoints,
    watchdogMs: 50,
    answer: async (text): Promise<Settlement> => {
      if (text === '4') await free.promise;
      return 'settle';
    },
  });
  await until('4 and 5', () => reading.source.state().backlog === 2);
  free.resolve();
  await until('none', () => reading.source.state().backlog === 0);
  await reading.source.stop();
  t.equal(reading.source.state().backlog, null, 'not known once it reads no more');
});

t.test('a receiver that fell silent is replaced by the watchdog', async (t) => {
  const { cloud, send } = await start(t);
  const reading = await startReading(t, { config: cloud.routerConfig(), watchdogMs: 150 });
  await send('1');
  await until('the first', () => reading.deliveries.length === 1);
  await until('a round of the watchdog', () => reading.source.state().backlog === 0);
  t.ok(reading.source.state().connected, 'a partition with nothing new is left alone');
  cloud.stallConsumers(true);
  await send('2');
  await until('the verdict', () => /fell silent/.test(reading.source.state().lastError ?? ''));
  cloud.stallConsumers(false);
  await until('the second', () => reading.deliveries.length === 2);
  t.strictSame(reading.texts(), ['1', '2']);
});

t.test('a checkpoint of a hub that was made anew is not believed', async (t) => {
  const checkpoints = memoryCheckpoints();
  const old = await start(t);
  await old.send('1', '2', '3');
  const first = await startReading(t, { config: old.cloud.routerConfig(), checkpoints });
  await until('three events', () => first.deliveries.length === 3);
  await first.source.stop();
  const made = await start(t);
  await made.send('a', 'b');
  const second = await startReading(t, { config: made.cloud.routerConfig(), checkpoints });
  await until('two events', () => second.deliveries.length === 2);
  t.strictSame(second.texts(), ['a', 'b']);
});

t.test('an endpoint that is down at the start is not an error, and is found when it is up', async (t) => {
  const { cloud, send } = await start(t);
  await send('1');
  const config = cloud.routerConfig();
  const port = Number(/localhost:(\d+)/.exec(JSON.stringify(config))?.[1]);
  const proxy = new TcpProxy({ targetPort: port, port: 0, clock, entropy });
  await proxy.start();
  t.teardown(() => proxy.stop());
  await proxy.setFault(fault('refuse'));
  const reading = await startReading(t, {
    config: withConnectionString(config, (text) => text.replace(`:${port}`, `:${proxy.port}`)),
  });
  await until('a refusal', () => /ECONNREFUSED/.test(reading.source.state().lastError ?? ''));
  await proxy.setFault(null);
  await until('the event', () => reading.deliveries.length === 1);
  await proxy.setFault(fault('blackhole'));
  await reading.source.stop();
  t.equal(reading.source.state().connected, false, 'a dead line does not hold up the stop');
});

t.test('a wrong key is refused, said without the key, and tried again', async (t) => {
  const { cloud, send } = await start(t);
  await send('1');
  const config = withConnectionString(cloud.routerConfig(), (text) =>
    text.replace(/SharedAccessKey=[^;]+/, 'SharedAccessKey=d3Jvbmc='),
  );
  const reading = await startReading(t, { config });
  await until('the refusal', () => /unauthorized/i.test(reading.source.state().lastError ?? ''));
  t.notMatch(reading.source.state().lastError, /d3Jvbmc/);
  t.match(reading.source.state(), { connected: false, received: 0 });
  t.equal(cloud.meter().delivered, 0);
});

t.test('a consumer group that is gone is tried ever more rarely, and never called connected', async (t) => {
  const { cloud } = await start(t);
  const delaysMs: number[] = [];
  const events: string[] = [];
  const write = (line: string): void => {
    const { event, delayMs } = JSON.parse(line);
    events.push(event);
    if (event === 'event_hubs.session_ended') delaysMs.push(delayMs);
  };
  const log = createLogger({ level: 'info', levels: {} }, { write });
  cloud.refuseConsumers(true);
  const reading = await startReading(t, { config: cloud.routerConfig(), log });
  await until('five sessions', () => delaysMs.length >= 5);
  t.notOk(events.includes('event_hubs.connected'), 'a receiver that was refused has proven nothing');
  t.ok(
    delaysMs.slice(0, 5).every((delayMs, i) => delayMs >= 125 * 2 ** i),
    `pauses of ${delaysMs.map(Math.round)} ms`,
  );
  t.match(reading.source.state(), { connected: false });
  cloud.refuseConsumers(false);
  await until('connected', () => reading.source.state().connected);
  t.equal(reading.source.state().lastError, null);
});

t.test('while the ledger does not commit, no session begins, and nothing comes twice', async (t) => {
  const { cloud, send } = await start(t);
  await send('1');
  const gate = new HandGate();
  gate.close();
  const { source, deliveries, texts } = await startReading(t, {
    config: cloud.routerConfig(),
    gate,
    answer(_text, times) {
      if (times > 1) return 'settle';
      gate.close();
      return 'retry';
    },
  });
  await until('the source waits', () => gate.waiting === 1);
  t.match(source.state(), { connected: false, received: 0 });
  gate.open();
  await until('the event waits', () => deliveries.length > 0 && gate.waiting === 1);
  t.strictSame(texts(), ['1'], 'it came once');
  gate.open();
  await until('it is settled', () => source.state().settled === 1);
  t.equal(deliveries.length, 2);
});

t.test('events that the hub dropped by age before they were read are counted and logged', async (t) => {
  const { cloud, send } = await start(t);
  const checkpoints = memoryCheckpoints();
  await send('1', '2');
  const first = await startReading(t, { config: cloud.routerConfig(), checkpoints });
  await until('two events', () => first.source.state().settled === 2);
  await first.source.stop();
  await send('3', '4', '5', '6');
  cloud.keepNewestEvents(1);
  const lines: string[] = [];
  const log = createLogger({ level: 'error', levels: {} }, { write: (line) => lines.push(line) });
  const second = await startReading(t, { config: cloud.routerConfig(), checkpoints, log });
  await until('the one that is left', () => second.deliveries.length === 1);
  t.strictSame(second.texts(), ['6']);
  t.equal(second.source.state().expired, 3);
  t.match(JSON.parse(lines[0] ?? '{}'), { event: 'event_hubs.expired', count: 3, first: 2, last: 4 });
});

t.test('a hub that goes mute is left, and read again when it answers', async (t) => {
  const { cloud, send } = await start(t);
  const config = cloud.routerConfig();
  const port = Number(/localhost:(\d+)/.exec(JSON.stringify(config))?.[1]);
  const proxy = new TcpProxy({ targetPort: port, port: 0, clock, entropy });
  await proxy.start();
  t.teardown(() => proxy.stop());
  const reading = await startReading(t, {
    config: withConnectionString(config, (text) => text.replace(`:${port}`, `:${proxy.port}`)),
    watchdogMs: 100,
  });
  await until('connected', () => reading.source.state().connected);
  await proxy.setFault(fault('blackhole'));
  await until('the silence', () => reading.source.state().cuts > 0);
  t.match(reading.source.state(), { connected: false, lastError: /no answer in 5000 ms/ });
  await proxy.setFault(null);
  await send('1');
  await until('the event', () => reading.deliveries.length === 1);
  t.match(reading.source.state(), { connected: true, lastError: null });
});

t.test('options: the hub is named once, and no secret is repeated', (t) => {
  const parse = (connection_string: string, event_hub?: string) =>
    eventHubsOptions.safeParse({ event_hub, credentials: { connection_string } });
  const text = 'Endpoint=sb://x.servicebus.windows.net/;SharedAccessKeyName=service;SharedAccessKey=c2VjcmV0';
  t.equal(parse(text, 'hub').data?.consumer_group, '$Default');
  t.ok(parse(`${text};EntityPath=hub`).success);
  t.ok(parse(`${text};EntityPath=hub`, 'hub').success);
  for (const bad of [
    parse(text),
    parse(`${text};EntityPath=other`, 'hub'),
    parse('SharedAccessKey=c2VjcmV0'),
  ]) {
    t.notOk(bad.success);
    t.notMatch(bad.error?.message ?? '', /c2VjcmV0/);
  }
  t.end();
});
