import { readFileSync } from 'node:fs';
import { Agent } from 'node:https';
import {
  GetThingShadowCommand,
  IoTDataPlaneClient,
  PublishCommand,
  UpdateThingShadowCommand,
} from '@aws-sdk/client-iot-data-plane';
import {
  ChangeMessageVisibilityCommand,
  DeleteMessageCommand,
  GetQueueAttributesCommand,
  GetQueueUrlCommand,
  type Message,
  ReceiveMessageCommand,
  SendMessageCommand,
  SQSClient,
} from '@aws-sdk/client-sqs';
import t, { type Test } from 'tap';
import { AwsCloud } from '../../loopback/aws.ts';
import { createCertificateAuthority } from '../../loopback/ca.ts';
import { FAULT_NAMES, fault } from '../../loopback/faults.ts';
import { sdkCredentials } from '../../shared/aws.ts';
import { systemClock } from '../../shared/clock.ts';
import { seededEntropy } from '../../shared/entropy.ts';
import { ManualClock } from '../manual-clock.ts';
import { until } from '../until.ts';
import { type RunningAws, silent, startAws } from './start-aws.ts';

/** The unmodified SDK clients, as anybody would make them. */
function clients(t: Test, { agent, router }: RunningAws, systemClockOffset = 0) {
  const ca = readFileSync(agent.ca_file ?? '');
  const common = {
    region: agent.region,
    ...sdkCredentials(agent),
    maxAttempts: 1,
    systemClockOffset,
    requestHandler: { httpsAgent: new Agent({ ca, keepAlive: true }) },
  };
  const iot = new IoTDataPlaneClient({ ...common, endpoint: agent.endpoint });
  const sqs = new SQSClient({ ...common, endpoint: router.endpoint ?? '' });
  t.teardown(() => {
    iot.destroy();
    sqs.destroy();
  });
  return { iot, sqs };
}

/** The error of a rejected promise; null when it resolves. */
function failure(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => null,
    (error: unknown) => error,
  );
}

/** One receive; the default does not wait. */
async function receive(sqs: SQSClient, queueUrl: string, options: object = {}): Promise<Message[]> {
  const answer = await sqs.send(
    new ReceiveMessageCommand({
      QueueUrl: queueUrl,
      MaxNumberOfMessages: 10,
      MessageSystemAttributeNames: ['All'],
      ...options,
    }),
  );
  return answer.Messages ?? [];
}

t.test('the rule puts into the queue what its SQL selects, binary payloads too', async (t) => {
  const aws = await startAws(t);
  const { iot, sqs } = clients(t, aws);
  const payload = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
  const before = systemClock.wallMs();
  await iot.send(
    new PublishCommand({
      topic: 'headgate/gw-1/metrics é',
      qos: 1,
      payload,
      userProperties: '[{"gw":"gw-1"},{"n":"2"}]',
    }),
  );
  await iot.send(new PublishCommand({ topic: 'headgate/gw-2/bare', payload: 'x' }));
  await iot.send(new PublishCommand({ topic: 'elsewhere/gw-1/metrics', payload: 'not for the rule' }));
  const bodies = (await receive(sqs, aws.router.queue_url)).map(({ Body }) => JSON.parse(Body ?? ''));
  t.match(bodies, [
    { data: payload.toString('base64'), topic: 'headgate/gw-1/metrics é', gw: ['gw-1'] },
    { data: 'eA==', topic: 'headgate/gw-2/bare' },
  ]);
  t.equal(bodies.length, 2);
  t.ok(bodies[0].ts >= before && bodies[0].ts <= systemClock.wallMs());
  t.notOk('gw' in bodies[1]);
});

t.test('the meter counts units of 5 KiB of payload, topic and user properties', async (t) => {
  const aws = await startAws(t);
  const { iot } = clients(t, aws);
  const topic = 'headgate/gw-1/metrics';
  const publish = (size: number, userProperties?: string) =>
    iot.send(
      new PublishCommand({
        topic,
        payload: Buffer.alloc(size),
        ...(userProperties !== undefined && { userProperties }),
      }),
    );
  await publish(5120 - topic.length);
  t.match(aws.cloud.meter(), { accepted: 1, units: 1, bytes: 5120 - topic.length, requests: 1 });
  await publish(5120 - topic.length + 1);
  t.equal(aws.cloud.meter().units, 3);
  await publish(5120 - topic.length, '[{"gw":"a"}]');
  t.equal(aws.cloud.meter().units, 5);
  await publish(131_072);
  t.equal(aws.cloud.meter().units, 5 + 26);
  await t.rejects(publish(131_073), {
    name: 'RequestEntityTooLargeException',
    $metadata: { httpStatusCode: 413 },
  });
  await iot.send(new PublishCommand({ topic: 'headgate/gw-1/alarms', payload: 'x' }));
  t.match(aws.cloud.meter(), { accepted: 5, requests: 6, perStream: { metrics: 4, alarms: 1 } });
});

t.test('both endpoints refuse wrong, unknown and stale signatures', async (t) => {
  const aws = await startAws(t);
  const publish = new PublishCommand({ topic: 'headgate/gw-1/metrics', payload: 'x' });
  const get = new GetQueueAttributesCommand({ QueueUrl: aws.router.queue_url, AttributeNames: ['All'] });
  const good = aws.agent.credentials;
  if (!good) throw new Error('the loopback gives credentials');
  const wrong = { ...aws, agent: { ...aws.agent, credentials: { ...good, secret_access_key: 'wrong' } } };
  const stranger = {
    ...aws,
    agent: { ...aws.agent, credentials: { ...good, access_key_id: 'AKIASTRANGER' } },
  };
  const refusals: [RunningAws, number, object][] = [
    [wrong, 0, { name: 'InvalidSignatureException', $metadata: { httpStatusCode: 403 } }],
    [stranger, 0, { name: 'UnrecognizedClientException', $metadata: { httpStatusCode: 403 } }],
    [aws, -400_000, { name: 'InvalidSignatureException', message: /^Signature expired/ }],
    [aws, 400_000, { name: 'InvalidSignatureException', message: /^Signature not yet current/ }],
  ];
  for (const [who, offsetMs, expected] of refusals) {
    const { iot, sqs } = clients(t, who, offsetMs);
    t.match(await failure(iot.send(publish)), expected);
    t.match(await failure(sqs.send(get)), expected);
  }
  const { iot, sqs } = clients(t, aws);
  await t.resolves(iot.send(publish));
  await t.resolves(sqs.send(get));
  t.equal(aws.cloud.meter().accepted, 1);
});

t.test('the SDK learns the time from a refusal', async (t) => {
  const aws = await startAws(t, { ...systemClock, wallMs: () => systemClock.wallMs() + 3_600_000 });
  const { iot } = clients(t, aws);
  const publish = new PublishCommand({ topic: 'headgate/gw-1/metrics', payload: 'x' });
  t.match(await failure(iot.send(publish)), {
    $metadata: { httpStatusCode: 403, clockSkewCorrected: true },
  });
  await t.resolves(iot.send(publish));
});

t.test('refuses topics with wildcards, and user properties that are not', async (t) => {
  const { iot } = clients(t, await startAws(t));
  const bad = { name: 'InvalidRequestException', $metadata: { httpStatusCode: 400 } };
  await t.rejects(iot.send(new PublishCommand({ topic: 'headgate/+/metrics', payload: 'x' })), bad);
  const odd = new PublishCommand({
    topic: 'headgate/gw-1/metrics',
    payload: 'x',
    userProperties: '{"gw":1}',
  });
  await t.rejects(iot.send(odd), bad);
});

t.test('shadows: named and classic, through the same endpoint', async (t) => {
  const { iot } = clients(t, await startAws(t));
  const shadow = { thingName: 'gw-1', shadowName: 'policy' };
  await t.rejects(iot.send(new GetThingShadowCommand(shadow)), { name: 'ResourceNotFoundException' });
  const desired = { policy: { version: 4 } };
  const payload = Buffer.from(JSON.stringify({ state: { desired } }));
  await iot.send(new UpdateThingShadowCommand({ ...shadow, payload }));
  const answer = await iot.send(new GetThingShadowCommand(shadow));
  t.match(JSON.parse(Buffer.from(answer.payload ?? []).toString()), {
    state: { desired, delta: desired },
    version: 1,
  });
  await t.rejects(iot.send(new GetThingShadowCommand({ thingName: 'gw-1' })), {
    name: 'ResourceNotFoundException',
  });
});

t.test('queue: visibility timeout, receive count, receipt handles', async (t) => {
  const clock = new ManualClock(systemClock.wallMs());
  const aws = await startAws(t, clock);
  const { sqs } = clients(t, aws);
  const QueueUrl = aws.router.queue_url;
  t.equal((await sqs.send(new GetQueueUrlCommand({ QueueName: 'headgate' }))).QueueUrl, QueueUrl);
  await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: 'one é' }));
  const [first] = await receive(sqs, QueueUrl, { VisibilityTimeout: 1 });
  t.match(first, { Body: 'one é', Attributes: { ApproximateReceiveCount: '1' } });
  t.same(await receive(sqs, QueueUrl), [], 'invisible');
  const poll = receive(sqs, QueueUrl, { WaitTimeSeconds: 5 });
  await until('the poll waits', () => clock.isDueIn(5000));
  clock.advance(1000);
  const [second] = await poll;
  t.match(
    second,
    { Body: 'one é', MessageId: first?.MessageId, Attributes: { ApproximateReceiveCount: '2' } },
    'back after its timeout, without waiting for the end of the poll',
  );

  await sqs.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle: first?.ReceiptHandle }));
  t.equal(aws.cloud.meter().settled, 0, 'an outdated handle deletes nothing');
  await sqs.send(
    new ChangeMessageVisibilityCommand({
      QueueUrl,
      ReceiptHandle: second?.ReceiptHandle,
      VisibilityTimeout: 0,
    }),
  );
  const [third] = await receive(sqs, QueueUrl);
  t.match(third, { Attributes: { ApproximateReceiveCount: '3' } });
  await sqs.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle: third?.ReceiptHandle }));
  t.same(await receive(sqs, QueueUrl), []);
  t.match(aws.cloud.meter(), { delivered: 3, settled: 1 });
  await t.rejects(
    sqs.send(
      new ChangeMessageVisibilityCommand({
        QueueUrl,
        ReceiptHandle: third?.ReceiptHandle,
        VisibilityTimeout: 1,
      }),
    ),
    { name: 'MessageNotInflight' },
  );
});

t.test('queue: long poll waits for a message and no longer, ten at most', async (t) => {
  const clock = new ManualClock(systemClock.wallMs());
  const aws = await startAws(t, clock);
  const { sqs } = clients(t, aws);
  const QueueUrl = aws.router.queue_url;
  const isPolling = (seconds: number) => () => clock.isDueIn(seconds * 1000);
  const empty = receive(sqs, QueueUrl, { WaitTimeSeconds: 1 });
  await until('the short poll waits', isPolling(1));
  clock.advance(1000);
  t.same(await empty, []);
  const waiting = receive(sqs, QueueUrl, { WaitTimeSeconds: 20 });
  await until('the long poll waits', isPolling(20));
  await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: 'wake up' }));
  t.match(await waiting, [{ Body: 'wake up' }], 'woken, with the clock stopped');

  const given = new AbortController();
  const aborted = sqs.send(new ReceiveMessageCommand({ QueueUrl, WaitTimeSeconds: 20 }), {
    abortSignal: given.signal,
  });
  await until('the poll of the client waits', isPolling(20));
  given.abort();
  await t.rejects(aborted, { name: 'AbortError' });
  await until('the queue knows that the client has gone', () => !clock.isDueIn(20_000));
  for (let i = 0; i < 12; i += 1) {
    await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: `m${i}` }));
  }
  t.equal((await receive(sqs, QueueUrl)).length, 10, 'none went to the client that had gone');
  t.equal((await receive(sqs, QueueUrl)).length, 2);
  await t.rejects(receive(sqs, QueueUrl, { MaxNumberOfMessages: 11 }), { name: /InvalidParameterValue/ });
  await t.rejects(receive(sqs, `${QueueUrl}-other`), { name: /QueueDoesNotExist/ });
});

t.test('no fault reaches the queue side', async (t) => {
  const aws = await startAws(t);
  const { sqs } = clients(t, aws);
  const QueueUrl = aws.router.queue_url;
  for (const name of FAULT_NAMES) {
    await aws.cloud.setFault(fault(name));
    t.equal(aws.cloud.fault()?.name, name);
    await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: name }));
    t.match(await receive(sqs, QueueUrl), [{ Body: name }]);
  }
});

t.test('stop is idempotent and ends waiting polls', async (t) => {
  const clock = new ManualClock(systemClock.wallMs());
  const aws = await startAws(t, clock);
  const { sqs } = clients(t, aws);
  const poll = receive(sqs, aws.router.queue_url, { WaitTimeSeconds: 20 });
  poll.catch(() => undefined);
  await until('the poll waits', () => clock.isDueIn(20_000));
  await aws.cloud.stop();
  await aws.cloud.stop();
  await t.rejects(poll);
  t.equal(aws.cloud.meter().accepted, 0, 'the meter can still be read');
});

t.test('ports can be given; one that is taken is an error at start, and nothing stays open', async (t) => {
  const aws = await startAws(t);
  const taken = Number(new URL(aws.agent.endpoint).port);
  const options = {
    ca: await createCertificateAuthority(systemClock, seededEntropy(1)),
    caFile: '',
    clock: systemClock,
    entropy: seededEntropy(1),
    log: silent,
  };
  const second = new AwsCloud({ ...options, ports: { ingest: taken } });
  await t.rejects(second.start(), { code: 'EADDRINUSE' });
  await second.stop();
  t.throws(() => second.agentConfig('gw-1'), /not started/);

  await aws.cloud.stop();
  const third = new AwsCloud({ ...options, ports: { ingest: taken } });
  await third.start();
  t.equal(third.agentConfig('gw-1')['endpoint'], aws.agent.endpoint);
  await third.stop();
});
