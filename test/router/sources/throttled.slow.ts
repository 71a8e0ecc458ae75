/**
 * Each source over its vendor's SDK and real sockets, against a cloud that asks to slow down: the source
 * rests, asks few questions, says so, and goes on when the cloud does, with nothing lost.
 */
import t, { type Test } from 'tap';
import { openAwsPublisher } from '../../../agent/providers/aws/publisher.ts';
import { openGcpPublisher } from '../../../agent/providers/gcp/publisher.ts';
import type { Publisher } from '../../../agent/providers/publisher.ts';
import type { Cloud } from '../../../loopback/cloud.ts';
import { fault } from '../../../loopback/faults.ts';
import { eventHubsOptions } from '../../../router/sources/event-hubs/options.ts';
import { EventHubsSource } from '../../../router/sources/event-hubs/source.ts';
import { mqttSourceOptions } from '../../../router/sources/mqtt/options.ts';
import { MqttSource } from '../../../router/sources/mqtt/source.ts';
import { PubSubSource } from '../../../router/sources/pubsub/source.ts';
import type { Delivery, Source, SourceDeps } from '../../../router/sources/source.ts';
import { SqsSource } from '../../../router/sources/sqs/source.ts';
import { createLogger } from '../../../shared/log.ts';
import { startBroker } from '../../agent/providers/mqtt/support.ts';
import { attempt } from '../../attempt.ts';
import { ForwardClock } from '../../forward-clock.ts';
import { memoryCheckpoints, openPublisher, startAzure } from '../../loopback/azure-fixture.ts';
import { deps, envelope, startGcp } from '../../loopback/gcp-support.ts';
import { startAws } from '../../loopback/start-aws.ts';
import { until } from '../../until.ts';

interface Throttling {
  /** Sends one message; not while the cloud throttles. */
  publish(text: string): Promise<unknown>;
  throttle(on: boolean, settlementsOnly?: boolean): Promise<unknown>;
  open(deps: SourceDeps): Source;
  /** Requests, or connections, that were turned away. */
  turnedAway(): number;
  /** Messages that wait at the cloud, or are in hand; null where the cloud does not say. */
  unsettled(): number | null;
}

interface Case {
  start(t: Test): Promise<Throttling>;
  /** Of `lastError`. */
  error: RegExp;
  /** The event of a failure in the log. */
  event: string;
  /** Failures to wait for. */
  failures: number;
  /** The shortest pause after each failure, in milliseconds. */
  pauseMs: readonly number[];
  /** The most that are turned away by then. */
  requestsMax: number;
  /** The protocol has a word for it. */
  isCounted: boolean;
}

function ofCloud(cloud: Cloud, publisher: Publisher, open: Throttling['open']): Throttling {
  return {
    publish: async (text) => {
      const { kind } = await publisher.publish(envelope(text), attempt(10_000));
      if (kind !== 'accepted') throw new Error(kind);
    },
    throttle: (on, settlementsOnly = false) =>
      cloud.setFault(on ? fault('throttle', { bothSides: true, settlementsOnly }) : null),
    open,
    turnedAway: () => cloud.meter().throttled,
    unsettled: () => (cloud.name === 'azure' ? null : cloud.meter().unsettled),
  };
}

const CASES: Record<string, Case> = {
  'SQS: RequestThrottled': {
    async start(t) {
      const { cloud, agent, router } = await startAws(t);
      const publisher = await openAwsPublisher(agent, deps);
      t.teardown(() => publisher.close());
      return ofCloud(cloud, publisher, (with_) => new SqsSource('aws', router, with_));
    },
    error: /^throttled: HTTP 400 RequestThrottled$/,
    event: 'source.sqs.failed',
    failures: 8,
    // Two receivers, each with pauses of its own.
    pauseMs: [200, 200, 400, 400, 800, 800],
    requestsMax: 10,
    isCounted: true,
  },
  'Pub/Sub: RESOURCE_EXHAUSTED': {
    async start(t) {
      const { cloud, agent, router } = await startGcp(t);
      const publisher = await openGcpPublisher(agent, deps);
      t.teardown(() => publisher.close());
      return ofCloud(cloud, publisher, (with_) => new PubSubSource('gcp', router, with_));
    },
    error: /^throttled: .*Quota exceeded/,
    event: 'source.pubsub.interrupted',
    failures: 3,
    pauseMs: [],
    requestsMax: 16,
    isCounted: true,
  },
  'Event Hubs: com.microsoft:server-busy': {
    async start(t) {
      const { cloud } = await startAzure(t);
      const publisher = await openPublisher(t, cloud.agentConfig('gw-1'));
      const options = eventHubsOptions.parse(cloud.routerConfig());
      const more = { checkpoints: memoryCheckpoints(), leaseMs: 15_000, watchdogMs: 60_000 };
      return ofCloud(
        cloud,
        publisher,
        (with_) => new EventHubsSource('azure', options, { ...with_, ...more }),
      );
    },
    error: /^throttled: .*Please wait 4 seconds/,
    event: 'event_hubs.session_ended',
    failures: 2,
    pauseMs: [4000, 5000],
    requestsMax: 4,
    isCounted: true,
  },
  'MQTT: Connection Refused, Server unavailable': {
    async start(t) {
      const broker = await startBroker(t);
      const url = `mqtt://127.0.0.1:${broker.port}`;
      let before = 0;
      return {
        publish: (text) => broker.publish('headgate/gw-1/vitals', text),
        async throttle(on) {
          before = broker.connections();
          broker.refuse(on ? 3 : 0);
        },
        open: (with_) => new MqttSource('mqtt', mqttSourceOptions.parse({ url }), with_),
        turnedAway: () => broker.connections() - before,
        unsettled: () => null,
      };
    },
    error: /Server unavailable/,
    event: 'source.mqtt.closed',
    failures: 4,
    pauseMs: [125, 250, 500, 1000],
    requestsMax: 5,
    isCounted: false,
  },
};

interface Reader {
  source: Source;
  deliveries: Delivery[];
  texts(): string[];
  lines: Array<Record<string, unknown>>;
}

async function read(t: Test, { open }: Throttling, more: Partial<SourceDeps> = {}): Promise<Reader> {
  const lines: Reader['lines'] = [];
  const log = createLogger({ level: 'info', levels: {} }, { write: (line) => lines.push(JSON.parse(line)) });
  const source = open({ ...deps, log, ...more });
  t.teardown(() => source.stop());
  const deliveries: Delivery[] = [];
  await source.start(async (delivery) => {
    deliveries.push(delivery);
    return 'settle';
  });
  const texts = (): string[] => [...deliveries.map(({ bytes }) => Buffer.from(bytes).toString())].sort();
  return { source, deliveries, texts, lines };
}

for (const [name, one] of Object.entries(CASES)) {
  t.test(name, async (t) => {
    const cloud = await one.start(t);
    const isQueue = one.isCounted;
    if (isQueue) for (const text of ['1', '2', '3']) await cloud.publish(text);
    await cloud.throttle(true);
    const { source, texts, lines } = await read(t, cloud);
    const failures = () => lines.filter(({ event }) => event === one.event);
    await until('it has failed often enough', () => failures().length >= one.failures);
    t.ok(cloud.turnedAway() <= one.requestsMax, `${cloud.turnedAway()} requests, at most ${one.requestsMax}`);
    const pauses = failures().map(({ delayMs }) => Number(delayMs));
    for (const [i, leastMs] of one.pauseMs.entries())
      t.ok((pauses[i] ?? 0) >= leastMs, `pause ${i}: ${pauses[i]} ms, at least ${leastMs}`);
    const { connected, lastError, throttled } = source.state();
    t.match({ connected, lastError }, { connected: false, lastError: one.error });
    if (one.isCounted) t.ok(throttled >= one.failures, `${throttled} counted`);

    await cloud.throttle(false);
    await until('it works again', () => source.state().connected);
    if (!isQueue) for (const text of ['1', '2', '3']) await cloud.publish(text);
    await until('all is there', () => texts().length >= 3);
    t.strictSame(texts(), ['1', '2', '3'], 'once each');
    await until('all is settled', () => (cloud.unsettled() ?? 0) === 0);
    t.match(source.state(), { connected: true, lastError: null });
  });
}

t.test('SQS: throttled deletes are tried again while the messages are hidden', async (t) => {
  const cloud = await CASES['SQS: RequestThrottled']?.start(t);
  if (!cloud) throw new Error('no case');
  for (const text of ['1', '2', '3']) await cloud.publish(text);
  await cloud.throttle(true, true);
  const { source, texts, deliveries } = await read(t, cloud);
  await until('deletes were turned away', () => source.state().throttled >= 3);
  t.match(source.state(), { lastError: /^throttled: / });
  await cloud.throttle(false);
  await until('all is settled', () => cloud.unsettled() === 0);
  t.strictSame(texts(), ['1', '2', '3'], 'nothing came again');
  t.ok(deliveries.every(({ deliveryCount }) => deliveryCount === 1));
  await until('the error is gone', () => source.state().lastError === null);
});

/** Counts the rests of the source, one or two after each of its questions. */
class RestingClock extends ForwardClock {
  rests = 0;

  override sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
    this.rests += 1;
    return super.sleep(delayMs, signal);
  }
}

t.test('Pub/Sub: throttled acknowledgements do not bring as many questions', async (t) => {
  const cloud = await CASES['Pub/Sub: RESOURCE_EXHAUSTED']?.start(t);
  if (!cloud) throw new Error('no case');
  const clock = new RestingClock();
  const { source } = await read(t, cloud, { clock });
  await until('it is connected', () => source.state().connected);
  await cloud.throttle(true, true);
  const [rests, batches] = [clock.rests, 30];
  for (let n = 0; n < batches; n += 1) {
    const before = source.state().throttled;
    await cloud.publish(String(n));
    await until('its acknowledgement was turned away', () => {
      return source.state().settled > n && source.state().throttled > before;
    });
  }
  const more = clock.rests - rests;
  t.ok(more < batches, `${more} rests while ${cloud.turnedAway()} requests were turned away`);
});

t.test(
  'Event Hubs: a receiver that was ended comes back after a rest; a busy answer ends none',
  async (t) => {
    const { cloud } = await startAzure(t);
    const publisher = await openPublisher(t, cloud.agentConfig('gw-1'));
    const options = eventHubsOptions.parse(cloud.routerConfig());
    const more = { checkpoints: memoryCheckpoints(), leaseMs: 15_000, watchdogMs: 50 };
    const throttling = ofCloud(
      cloud,
      publisher,
      (with_) => new EventHubsSource('azure', options, { ...with_, ...more }),
    );
    const { source, texts, lines } = await read(t, throttling);
    await throttling.publish('1');
    await until('the first', () => texts().length === 1);
    cloud.throttleQuestions(true);
    await until('questions were turned away', () => source.state().throttled >= 3);
    t.match(source.state(), { connected: true, lastError: /^throttled: / });
    await throttling.publish('2');
    await until('the second, while questions are turned away', () => texts().length === 2);
    cloud.throttleQuestions(false);
    await until('the error is gone', () => source.state().lastError === null);
    t.strictSame(
      lines.filter(({ event }) => event === 'event_hubs.session_ended'),
      [],
    );
    await throttling.throttle(true);
    await until('the receivers are ended', () => !source.state().connected);
    t.match(source.state(), { lastError: /^throttled: partition/ });
    await throttling.throttle(false);
    await throttling.publish('3');
    await until('the third', () => texts().length === 3);
    const [ended] = lines.filter(({ event }) => event === 'event_hubs.session_ended');
    t.ok(Number(ended?.['delayMs']) >= 4000, `a pause of ${ended?.['delayMs']} ms`);
  },
);
