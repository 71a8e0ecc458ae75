import { readFileSync } from 'node:fs';
import { Agent } from 'node:https';
import { SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import t, { type Test } from 'tap';
import { openAwsPublisher } from '../../../../agent/providers/aws/publisher.ts';
import { type FaultName, fault } from '../../../../loopback/faults.ts';
import { TcpProxy } from '../../../../loopback/tcp-proxy.ts';
import type { Delivery, DeliveryHandler, Source } from '../../../../router/sources/source.ts';
import { type SqsOptions, sqsOptions } from '../../../../router/sources/sqs/options.ts';
import { type SqsDeps, SqsSource } from '../../../../router/sources/sqs/source.ts';
import { sdkCredentials } from '../../../../shared/aws.ts';
import { systemClock } from '../../../../shared/clock.ts';
import { seededEntropy } from '../../../../shared/entropy.ts';
import { createLogger, type Logger } from '../../../../shared/log.ts';
import { attempt } from '../../../attempt.ts';
import { type RunningAws, silent, startAws } from '../../../loopback/start-aws.ts';
import { silentServer } from '../../../silent-server.ts';
import { until } from '../../../until.ts';
import { HandGate } from '../hand-gate.ts';

interface Reader {
  source: Source;
  deliveries: Delivery[];
  texts(): string[];
}

async function read(
  t: Test,
  options: SqsOptions,
  settle: (delivery: Delivery) => ReturnType<DeliveryHandler> = () => Promise.resolve('settle'),
  log: Logger = silent,
  more: Partial<SqsDeps> = {},
): Promise<Reader> {
  const deps = { clock: systemClock, entropy: seededEntropy(3), log, backlogPeriodMs: 60_000, ...more };
  const source = new SqsSource('aws', options, deps);
  const deliveries: Delivery[] = [];
  t.teardown(() => source.stop());
  await source.start((delivery) => {
    deliveries.push(delivery);
    return settle(delivery);
  });
  return { source, deliveries, texts: () => deliveries.map(({ bytes }) => Buffer.from(bytes).toString()) };
}

/** Publishes through the real publisher; resolves to the kinds of outcome. */
async function publish(t: Test, aws: RunningAws, payloads: (string | Uint8Array)[]): Promise<string[]> {
  const publisher = await openAwsPublisher(aws.agent, { clock: systemClock, log: silent });
  t.teardown(() => publisher.close());
  const kinds: string[] = [];
  for (const payload of payloads) {
    const properties = { hg: '1', gw: 'gw-1', ep: '1-ab', st: 'metrics', why: 'hedge' as const };
    const message = { gateway: 'gw-1', stream: 'metrics', bytes: Buffer.from(payload), properties };
    kinds.push((await publisher.publish(message, attempt(5000))).kind);
  }
  return kinds;
}

async function send(t: Test, { agent, router }: RunningAws, bodies: string[]): Promise<void> {
  const sqs = new SQSClient({
    region: router.region,
    endpoint: router.endpoint ?? '',
    ...sdkCredentials(router),
    requestHandler: { httpsAgent: new Agent({ ca: readFileSync(agent.ca_file ?? '') }) },
  });
  t.teardown(() => sqs.destroy());
  for (const MessageBody of bodies) {
    await sqs.send(new SendMessageCommand({ QueueUrl: router.queue_url, MessageBody }));
  }
}

t.test('carries 100 KB of binary from publisher to handler, byte for byte, and settles', async (t) => {
  const aws = await startAws(t);
  const payload = seededEntropy(7).bytes(100_000);
  const { source, deliveries } = await read(t, aws.router);
  t.same(await publish(t, aws, [payload]), ['accepted']);
  await until('settled', () => source.state().settled === 1);
  t.ok(Buffer.from(deliveries[0]?.bytes ?? []).equals(Buffer.from(payload)));
  t.match(deliveries[0], {
    source: 'aws',
    authenticatedGateway: 'gw-1',
    deliveryCount: 1,
    sentAs: 'hedge',
  });
  t.ok(Math.abs((deliveries[0]?.enqueuedWallMs ?? 0) - systemClock.wallMs()) < 120_000, 'SentTimestamp');
  t.match(aws.cloud.meter(), { delivered: 1, settled: 1 });
  const { lastReceivedMs, ...state } = source.state();
  t.same(state, {
    connected: true,
    received: 1,
    settled: 1,
    lastError: null,
    backlog: null,
    cuts: 0,
    throttled: 0,
    expired: 0,
  });
  t.ok(Math.abs((lastReceivedMs ?? 0) - systemClock.wallMs()) < 120_000);
});

t.test('what arrives under each fault of delivery', async (t) => {
  const texts = Array.from({ length: 8 }, (_, i) => `m${i}`);
  const cases: [FaultName, string, (received: string[]) => void][] = [
    [
      'ack-lost',
      'unknown',
      (received) => t.same(received.toSorted(), texts, 'taken, though the ack was lost'),
    ],
    ['duplicate', 'accepted', (received) => t.same(received.toSorted(), [...texts, ...texts].toSorted())],
    [
      'reorder',
      'accepted',
      (received) => {
        t.not(received.join(), texts.join(), 'another order');
        t.same(received.toSorted(), texts, 'and nothing lost');
      },
    ],
    ['drop-after-ack', 'accepted', (received) => t.same(received, [])],
  ];
  for (const [name, outcome, check] of cases) {
    const aws = await startAws(t);
    await aws.cloud.setFault(fault(name));
    t.same(new Set(await publish(t, aws, texts)), new Set([outcome]), name);
    t.equal(aws.cloud.meter().accepted, texts.length);
    // One receiver at a time would see the queue's order; the marker comes last.
    if (name === 'reorder')
      await until('all in the queue', () => aws.cloud.meter().unsettled === texts.length);
    await aws.cloud.setFault(null);
    await publish(t, aws, ['marker']);
    const reader = await read(t, aws.router);
    await until('the marker', () => reader.texts().includes('marker'));
    await until('all settled', () => aws.cloud.meter().settled === reader.deliveries.length);
    check(reader.texts().filter((text) => text !== 'marker'));
  }
});

t.test('what is not settled comes back, counted, until it is (I5)', async (t) => {
  const aws = await startAws(t);
  await publish(t, aws, ['stubborn', 'easy']);
  const reader = await read(t, aws.router, ({ bytes, deliveryCount }) => {
    const done = Buffer.from(bytes).toString() === 'easy' || deliveryCount === 3;
    return Promise.resolve(done ? 'settle' : 'retry');
  });
  await until('settled', () => reader.source.state().settled === 2);
  t.same(
    reader.deliveries.filter(({ bytes }) => bytes.length === 8).map(({ deliveryCount }) => deliveryCount),
    [1, 2, 3],
  );
  t.match(reader.source.state(), { received: 4, settled: 2 });
  t.match(aws.cloud.meter(), { delivered: 4, settled: 2 });
});

t.test('what waits while others are committed comes back after half a minute, not at once', async (t) => {
  const aws = await startAws(t);
  await publish(t, aws, ['blocked', 'stubborn']);
  const reader = await read(t, aws.router, async ({ bytes, deliveryCount, mayWait }) => {
    // As for a message over a quota.
    if (Buffer.from(bytes).toString() === 'blocked') return mayWait?.(1000) ? 'later' : 'retry';
    return deliveryCount === 3 ? 'settle' : 'retry';
  });
  await until('the other one is settled after 3 s', () => reader.source.state().settled === 1);
  t.equal(reader.texts().filter((text) => text === 'blocked').length, 1);
});

t.test('hands a batch over concurrently', async (t) => {
  const aws = await startAws(t);
  await publish(t, aws, ['a', 'b', 'c', 'd']);
  let underWay = 0;
  let most = 0;
  const reader = await read(t, aws.router, async () => {
    underWay += 1;
    most = Math.max(most, underWay);
    await until('another at the same time', () => most > 1);
    underWay -= 1;
    return 'settle';
  });
  await until('settled', () => reader.source.state().settled === 4);
  t.ok(most >= 2, `${most} at once`);
});

t.test('tells how much waits in the queue, also while the ledger is waited for', async (t) => {
  const aws = await startAws(t);
  const texts = Array.from({ length: 45 }, (_, i) => `${i}`);
  await publish(t, aws, texts);
  const free = Promise.withResolvers<'settle'>();
  const reader = await read(t, aws.router, () => free.promise, silent, { backlogPeriodMs: 20 });
  // Two receivers with ten messages each: the rest waits.
  await until('the backlog', () => reader.source.state().backlog === 25);
  free.resolve('settle');
  await until('all settled', () => reader.source.state().settled === 45);
  await publish(t, aws, ['one more']);
  await until('an empty queue', () => reader.source.state().backlog === 0);
  await reader.source.stop();
  t.equal(reader.source.state().backlog, null, 'not known once it reads no more');
});

t.test('a body that is not from the rule is handed over as it is, with what the rule lacks', async (t) => {
  const aws = await startAws(t);
  const bodies = [
    'not json',
    '{"data":1,"topic":"headgate/gw-1/metrics"}',
    '[]',
    '{"data":"aGk=","topic":"odd"}',
  ];
  await send(t, aws, bodies);
  const reader = await read(t, aws.router);
  await until('settled', () => reader.source.state().settled === bodies.length);
  t.same(new Set(reader.texts()), new Set([...bodies.slice(0, 3), 'hi']));
  t.ok(reader.deliveries.every(({ authenticatedGateway }) => authenticatedGateway === null));
  t.equal(reader.deliveries.filter(({ problem }) => problem?.reason === 'rule').length, 3);
});

t.test('a client id that the rule gives must be that of the topic; what else it says is kept', async (t) => {
  const aws = await startAws(t);
  const topic = 'headgate/gw-1/metrics';
  const cases = [
    [{ topic, client: 'gw-1', principal: 'abc' }, 'gw-1'],
    [{ topic, client: 'n/a' }, 'gw-1'],
    [{ topic, client: 'gw-2' }, 'client gw-2 on the topic of gw-1'],
  ] as const;
  await send(
    t,
    aws,
    cases.map(([told]) => JSON.stringify({ data: 'aGk=', ...told })),
  );
  const { source, deliveries } = await read(t, aws.router);
  await until('settled', () => source.state().settled === cases.length);
  t.same(
    new Set(deliveries.map(({ authenticatedGateway }) => authenticatedGateway)),
    new Set(cases.map(([, gateway]) => gateway)),
  );
  const told = deliveries.map(({ properties }) => properties?.() ?? {});
  t.match(
    told.find(({ principal }) => principal),
    { topic, client: 'gw-1', principal: 'abc', receiveCount: '1', messageId: String },
  );
});

t.test('a queue that is away is tried for ever, said so, and read when it is back', async (t) => {
  const aws = await startAws(t);
  const queuePort = Number(new URL(aws.router.queue_url).port);
  const proxy = new TcpProxy({
    targetPort: queuePort,
    port: 0,
    clock: systemClock,
    entropy: seededEntropy(4),
  });
  await proxy.start();
  t.teardown(() => proxy.stop());
  await proxy.setFault(fault('refuse'));
  const lines: string[] = [];
  const log = createLogger({ level: 'info', levels: {} }, { write: (line) => lines.push(line) });
  const options = { ...aws.router, endpoint: `https://localhost:${proxy.port}` };
  const { source, texts } = await read(t, options, undefined, log);
  await until('three failures', () => lines.length >= 3);
  t.match(source.state(), { connected: false, lastError: 'ECONNREFUSED', received: 0 });
  t.match(JSON.parse(lines[0] ?? ''), { event: 'source.sqs.failed', source: 'aws', error: 'ECONNREFUSED' });
  await proxy.setFault(null);
  await publish(t, aws, ['patience']);
  await until('settled', () => source.state().settled === 1);
  t.same(texts(), ['patience']);
  t.equal(source.state().connected, true);
  await proxy.setFault(fault('reset'));
  await publish(t, aws, ['again']);
  await until('the cut seen', () => !source.state().connected);
  await proxy.setFault(null);
  await until('the next message', () => texts().includes('again'));
});

t.test('is connected as soon as the queue answers, though it is empty', async (t) => {
  const aws = await startAws(t);
  const { source } = await read(t, aws.router);
  await until('connected', () => source.state().connected);
  t.equal(aws.cloud.meter().delivered, 0);
});

t.test('wrong keys are an error that is logged without them', async (t) => {
  const aws = await startAws(t);
  const credentials = {
    access_key_id: aws.router.credentials?.access_key_id ?? '',
    secret_access_key: 'wrong-key',
  };
  const lines: string[] = [];
  const log = createLogger({ level: 'info', levels: {} }, { write: (line) => lines.push(line) });
  const { source } = await read(t, { ...aws.router, credentials }, undefined, log);
  await until('two failures', () => lines.length >= 2);
  t.match(source.state(), { connected: false, lastError: 'HTTP 403 InvalidSignatureException' });
  t.notOk(lines.some((line) => line.includes('wrong-key') || line.includes(credentials.access_key_id)));
});

t.test('stop waits for what is in hand', async (t) => {
  const aws = await startAws(t);
  const idle = await read(t, aws.router);
  await until('connected', () => idle.source.state().connected);
  await idle.source.stop();
  t.equal(idle.source.state().connected, false);

  await publish(t, aws, ['in hand']);
  const free = Promise.withResolvers<'settle'>();
  const busy = await read(t, aws.router, () => free.promise);
  await until('in hand', () => busy.deliveries.length === 1);
  const stopping = busy.source.stop();
  free.resolve('settle');
  await stopping;
  t.match(busy.source.state(), { received: 1, settled: 1 });
  t.match(aws.cloud.meter(), { settled: 1 });
});

t.test(
  'nothing is received while the ledger does not commit, so a redrive policy is not reached',
  async (t) => {
    const aws = await startAws(t);
    const gate = new HandGate();
    const lines: string[] = [];
    const log = createLogger({ level: 'info', levels: {} }, { write: (line) => lines.push(line) });
    await publish(t, aws, ['a', 'b', 'c', 'd', 'e']);
    let isAway: boolean = true;
    const settle = (): Promise<'settle' | 'retry'> => {
      if (isAway) gate.close();
      return Promise.resolve(isAway ? 'retry' : 'settle');
    };
    const reader = await read(t, aws.router, settle, log, { gate, backlogPeriodMs: 20 });
    await until('all given back', () => reader.source.state().backlog === 5);
    const { delivered } = aws.cloud.meter();
    t.ok(delivered <= 10, `received ${delivered} times`);
    const received = (): number => aws.cloud.meter().delivered;
    await until('both receivers wait', () => gate.waiting === 2 || received() > delivered);
    t.equal(aws.cloud.meter().delivered, delivered);
    isAway = false;
    gate.open();
    await until('all settled', () => reader.source.state().settled === 5);
    const most = Math.max(...reader.deliveries.map(({ deliveryCount }) => deliveryCount ?? 0));
    t.ok(most <= 3, `a message was received ${most} times`);
  },
);

t.test('a credential service that is silent: said with its phase, and over when it answers', async (t) => {
  const aws = await startAws(t);
  const sts = await silentServer(t);
  const environment = {
    AWS_CONTAINER_CREDENTIALS_FULL_URI: `http://127.0.0.1:${sts.port}/credentials`,
    AWS_EC2_METADATA_DISABLED: 'true',
  };
  for (const [name, value] of Object.entries(environment)) {
    process.env[name] = value;
    t.teardown(() => delete process.env[name]);
  }
  const { credentials, ...withoutKeys } = aws.router;
  const { source } = await read(t, withoutKeys, undefined, silent, { phaseMs: 3000 });
  await until('the phase', () => /^credentials: no answer in 3000 ms$/.test(source.state().lastError ?? ''));
  t.match(source.state(), { connected: false, backlog: null });
  await until('new clients', () => source.state().cuts > 1 && sts.connections() > 1);
  sts.answer({
    AccessKeyId: credentials?.access_key_id,
    SecretAccessKey: credentials?.secret_access_key,
    Token: '',
    Expiration: '2100-01-01T00:00:00Z',
  });
  await publish(t, aws, ['late']);
  await until('settled', () => source.state().settled === 1);
  t.match(source.state(), { connected: true, lastError: null });
});

t.test('each phase that is mute is named and ended', async (t) => {
  const aws = await startAws(t);
  const mute = await silentServer(t);
  const options = { ...aws.router, endpoint: `https://localhost:${mute.port}` };
  const { source } = await read(t, options, undefined, silent, { phaseMs: 3000 });
  await until('tls', () => /^tls: no answer/.test(source.state().lastError ?? ''));
  t.match(source.state(), { connected: false });
  const queuePort = Number(new URL(aws.router.queue_url).port);
  const deps = { clock: systemClock, entropy: seededEntropy(4) };
  const proxy = new TcpProxy({ targetPort: queuePort, port: 0, ...deps });
  await proxy.start();
  t.teardown(() => proxy.stop());
  const proxied = { ...aws.router, endpoint: `https://localhost:${proxy.port}` };
  const second = await read(t, proxied, undefined, silent, { phaseMs: 3000 });
  await until('connected', () => second.source.state().connected);
  await proxy.setFault(fault('blackhole'));
  const { cuts } = second.source.state();
  await until('the silence', () => second.source.state().cuts > cuts);
  t.match(second.source.state(), { connected: false, lastError: /^(answer|tls): no answer/ });
  await proxy.setFault(null);
  await until('connected again', () => second.source.state().connected);
  t.equal(second.source.state().lastError, null, 'the old error is forgotten');
});

t.test('options: the endpoint may be left out, secrets come in pairs', (t) => {
  const queue_url = 'https://sqs.eu-west-1.amazonaws.com/123456789012/headgate';
  t.same(sqsOptions.parse({ region: 'eu-west-1', queue_url }), {
    region: 'eu-west-1',
    queue_url,
    visibility_timeout: 60_000,
  });
  t.match(sqsOptions.safeParse({ region: 'eu-west-1' }).error?.issues[0], {
    path: ['queue_url'],
    message: /get-queue-url/,
  });
  t.notOk(sqsOptions.safeParse({ region: 'eu-west-1', queue_url, queue: 'x' }).success);
  t.end();
});
