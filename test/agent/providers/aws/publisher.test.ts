import t, { type Test } from 'tap';
import { type AwsOptions, awsOptions } from '../../../../agent/providers/aws/options.ts';
import { openAwsPublisher } from '../../../../agent/providers/aws/publisher.ts';
import type { OutboundEnvelope, Outcome, Publisher } from '../../../../agent/providers/publisher.ts';
import { FAULT_NAMES, type Fault, type FaultName, fault } from '../../../../loopback/faults.ts';
import { type Clock, systemClock } from '../../../../shared/clock.ts';
import { attempt } from '../../../attempt.ts';
import { silent, startAws } from '../../../loopback/start-aws.ts';
import { turns } from '../../../turns.ts';

const DEADLINE_MS = 60_000;

t.setTimeout(300_000);

function envelope(text = 'hello', stream = 'metrics'): OutboundEnvelope {
  const properties = { hg: '1', gw: 'gw-1', ep: '1-ab', st: stream, first: '1', last: '2', n: '2' };
  return { gateway: 'gw-1', stream, bytes: Buffer.from(text), properties };
}

async function open(t: Test, options: AwsOptions): Promise<Publisher> {
  const publisher = await openAwsPublisher(options, { clock: systemClock, log: silent });
  t.teardown(() => publisher.close());
  return publisher;
}

function summary(outcome: Outcome): string {
  switch (outcome.kind) {
    case 'accepted':
      return 'accepted';
    case 'throttled':
      return 'throttled';
    case 'cancelled':
      return `cancelled ${outcome.sent ? 'sent' : 'unsent'}`;
    case 'rejected':
      return `rejected ${outcome.scope} ${outcome.cause}`;
    case 'retryable':
    case 'unknown':
      return `${outcome.kind} ${outcome.cause}`;
  }
}

interface Case {
  /** On a connection that is open already, and on a new one. */
  warm: string;
  cold: string;
  deadlineMs?: number;
  options?: Partial<Omit<Fault, 'name'>>;
}

/** The publisher's outcome for every fault that the cloud can have. */
const CASES: Record<FaultName, Case> = {
  refuse: { warm: 'retryable connection-refused', cold: 'retryable connection-refused' },
  blackhole: { warm: 'unknown deadline', cold: 'retryable timeout', deadlineMs: 300 },
  slow: { warm: 'unknown deadline', cold: 'retryable timeout', deadlineMs: 300, options: { jitterMs: 100 } },
  'slow-ramp': {
    warm: 'unknown deadline',
    cold: 'retryable timeout',
    deadlineMs: 300,
    options: { jitterMs: 100, periodMs: 1 },
  },
  throttle: { warm: 'throttled', cold: 'throttled' },
  error: { warm: 'retryable server-error', cold: 'retryable server-error' },
  html503: { warm: 'retryable server-error', cold: 'retryable server-error' },
  brownout: { warm: 'retryable server-error', cold: 'accepted' },
  reset: { warm: 'unknown connection-lost', cold: 'retryable connection-reset' },
  unauthorized: { warm: 'rejected provider unauthorized', cold: 'rejected provider unauthorized' },
  'ack-lost': { warm: 'unknown connection-lost', cold: 'unknown connection-lost' },
  duplicate: { warm: 'accepted', cold: 'accepted' },
  reorder: { warm: 'accepted', cold: 'accepted' },
  'drop-after-ack': { warm: 'accepted', cold: 'accepted' },
  late: { warm: 'accepted', cold: 'accepted' },
  'credentials-silent': { warm: 'accepted', cold: 'accepted' },
  flap: {
    warm: 'retryable connection-refused',
    cold: 'retryable connection-refused',
    options: { periodMs: 20_000 },
  },
};

t.test('every fault has its outcome, and service is normal again when it is over', async (t) => {
  const { cloud, agent } = await startAws(t);
  for (const name of FAULT_NAMES) {
    await t.test(name, async (t) => {
      const { warm, cold, deadlineMs = DEADLINE_MS, options } = CASES[name];
      const publisher = await open(t, agent);
      t.equal(summary(await publisher.publish(envelope(), attempt(DEADLINE_MS))), 'accepted', 'before');
      await cloud.setFault(fault(name, options));
      // A connection that was just cut is noticed some turns of the event loop later.
      await turns();
      t.equal(
        summary(await publisher.publish(envelope(), attempt(deadlineMs))),
        warm,
        'on an open connection',
      );
      const fresh = await open(t, agent);
      t.equal(summary(await fresh.publish(envelope(), attempt(deadlineMs))), cold, 'on a new connection');
      await cloud.setFault(null);
      await turns();
      t.equal(summary(await publisher.publish(envelope(), attempt(DEADLINE_MS))), 'accepted', 'after');
      t.equal(summary(await fresh.publish(envelope(), attempt(DEADLINE_MS))), 'accepted', 'after, too');
    });
  }
});

t.test('slow only delays: within a long deadline it is accepted', async (t) => {
  const { cloud, agent } = await startAws(t);
  const publisher = await open(t, agent);
  await publisher.publish(envelope(), attempt(DEADLINE_MS));
  await cloud.setFault(fault('slow', { latencyMs: 200, jitterMs: 50 }));
  t.same(await publisher.publish(envelope(), attempt(DEADLINE_MS)), { kind: 'accepted' });
});

t.test('refuses wrong keys as unauthorized, without a secret in the detail', async (t) => {
  const { agent } = await startAws(t);
  const good = agent.credentials;
  if (!good) throw new Error('the loopback gives credentials');
  const bad = {
    secret: { ...good, secret_access_key: 'not-the-secret-key-at-all' },
    key: { ...good, access_key_id: 'AKIAXXXXXXXXXXXXXXXX' },
  };
  for (const [what, credentials] of Object.entries(bad)) {
    const publisher = await open(t, { ...agent, credentials });
    for (let i = 0; i < 2; i += 1) {
      const outcome = await publisher.publish(envelope(), attempt(DEADLINE_MS));
      t.equal(summary(outcome), 'rejected provider unauthorized', what);
      const text = JSON.stringify(outcome);
      t.notOk(text.includes(credentials.secret_access_key) || text.includes(credentials.access_key_id));
    }
  }
});

t.test('a wrong clock is refused once, then corrected from the answer', async (t) => {
  for (const offsetMs of [3_600_000, -3_600_000]) {
    const clock: Clock = { ...systemClock, wallMs: () => systemClock.wallMs() + offsetMs };
    const { agent } = await startAws(t, clock);
    const publisher = await open(t, agent);
    t.equal(summary(await publisher.publish(envelope(), attempt(DEADLINE_MS))), 'retryable clock-skew');
    t.equal(summary(await publisher.publish(envelope(), attempt(DEADLINE_MS))), 'accepted');

    const credentials = { access_key_id: agent.credentials?.access_key_id ?? '', secret_access_key: 'wrong' };
    const both = await open(t, { ...agent, credentials });
    t.equal(summary(await both.publish(envelope(), attempt(DEADLINE_MS))), 'retryable clock-skew');
    t.equal(summary(await both.publish(envelope(), attempt(DEADLINE_MS))), 'rejected provider unauthorized');
  }
});

t.test('a new client after two deadlines in a row keeps the corrected clock', async (t) => {
  const clock: Clock = { ...systemClock, wallMs: () => systemClock.wallMs() + 3_600_000 };
  const { cloud, agent } = await startAws(t, clock);
  const events: unknown[] = [];
  const log = silent.child({}, { level: 'silent' });
  log.warn = (...entry: unknown[]) => void events.push(entry[0]);
  const publisher = await openAwsPublisher(agent, { clock: systemClock, log });
  t.teardown(() => publisher.close());
  await publisher.publish(envelope(), attempt(DEADLINE_MS));
  t.equal(summary(await publisher.publish(envelope(), attempt(DEADLINE_MS))), 'accepted');
  await cloud.setFault(fault('blackhole'));
  for (let i = 0; i < 2; i += 1) {
    t.match(await publisher.publish(envelope(), attempt(200)), { cause: i === 0 ? 'deadline' : 'timeout' });
    t.equal(events.length, i === 1 ? 1 : 0);
  }
  await cloud.setFault(null);
  t.equal(
    summary(await publisher.publish(envelope(), attempt(DEADLINE_MS))),
    'accepted',
    'without a clock-skew first',
  );
  t.match(events, [{ event: 'aws.client_renewed' }]);
});

t.test('an unknown authority is a tls failure, and a CA file that is not there a rejection', async (t) => {
  const { agent } = await startAws(t);
  const { ca_file: _none, ...untrusted } = agent;
  const stranger = await open(t, untrusted);
  t.equal(summary(await stranger.publish(envelope(), attempt(DEADLINE_MS))), 'retryable tls');
  await t.rejects(open(t, { ...agent, ca_file: '/nowhere/ca.pem' }), { code: 'ENOENT' });
});

t.test('takes an envelope of the largest size, and reports a larger one as too large', async (t) => {
  const { cloud, agent } = await startAws(t);
  const publisher = await open(t, agent);
  t.ok(publisher.maxEnvelopeBytes <= 131_072);
  const largest = 'x'.repeat(publisher.maxEnvelopeBytes);
  t.equal(summary(await publisher.publish(envelope(largest), attempt(DEADLINE_MS))), 'accepted');
  t.equal(
    summary(await publisher.publish(envelope('x'.repeat(131_073)), attempt(DEADLINE_MS))),
    'rejected envelope too-large',
  );
  t.match(cloud.meter(), { accepted: 1, requests: 2, bytes: largest.length });
});

t.test('publishes concurrently', async (t) => {
  const { cloud, agent } = await startAws(t);
  const publisher = await open(t, agent);
  const outcomes = await Promise.all(
    Array.from({ length: 40 }, (_, i) => publisher.publish(envelope(`message ${i}`), attempt(DEADLINE_MS))),
  );
  t.same(new Set(outcomes.map(summary)), new Set(['accepted']));
  t.equal(cloud.meter().accepted, 40);
});

t.test('options: the endpoint is asked for in words, defaults are filled in', (t) => {
  const missing = awsOptions.safeParse({ region: 'eu-west-1' });
  t.match(missing.error?.issues[0], { path: ['endpoint'], message: /iot describe-endpoint/ });
  for (const bad of [
    { region: 'Ireland', endpoint: 'https://localhost' },
    { region: 'eu-west-1', endpoint: 'http://iot.example' },
    { region: 'eu-west-1', endpoint: 'https://localhost', topic_prefix: 'headgate/#' },
    { region: 'eu-west-1', endpoint: 'https://localhost', credentials: { access_key_id: 'a' } },
    { region: 'eu-west-1', endpoint: 'https://localhost', topc_prefix: 'x' },
  ]) {
    t.notOk(awsOptions.safeParse(bad).success, JSON.stringify(bad));
  }
  const basicIngest = '$aws/rules/headgate/headgate';
  const minimal = { region: 'us-gov-west-1', endpoint: 'https://abc-ats.iot.us-gov-west-1.amazonaws.com' };
  t.same(awsOptions.parse(minimal), { ...minimal, topic_prefix: 'headgate' });
  t.ok(awsOptions.safeParse({ ...minimal, topic_prefix: basicIngest }).success);
  t.end();
});
