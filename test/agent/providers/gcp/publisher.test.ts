import { generateKeyPairSync } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { gcpOptions } from '../../../../agent/providers/gcp/options.ts';
import { outcomeOf } from '../../../../agent/providers/gcp/outcome.ts';
import { openGcpPublisher } from '../../../../agent/providers/gcp/publisher.ts';
import type { Outcome } from '../../../../agent/providers/publisher.ts';
import { createCertificateAuthority } from '../../../../loopback/ca.ts';
import { fault } from '../../../../loopback/faults.ts';
import { gcpChannel } from '../../../../shared/gcp/connection.ts';
import { attempt } from '../../../attempt.ts';
import { deps, envelope, startGcp } from '../../../loopback/gcp-support.ts';
import { startTunnel } from '../tunnel.ts';

const LONG_MS = 60_000;
const rejected = { kind: 'rejected', scope: 'provider', cause: 'unauthorized' };

t.test('a key that the provider does not know, and one that is none', async (t) => {
  const { agent } = await startGcp(t);
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const foreign = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  for (const key of [foreign, 'no key at all']) {
    const account = { client_email: 'headgate@headgate-loopback.iam.gserviceaccount.com', private_key: key };
    const publisher = await openGcpPublisher({ ...agent, credentials: account }, deps);
    const outcome = await publisher.publish(envelope('x'), attempt(LONG_MS));
    t.match(outcome, rejected);
    t.notMatch(JSON.stringify(outcome), /PRIVATE KEY|no key at all/, 'no secret in the detail');
    await publisher.close();
  }
});

t.test('a certificate authority that is not ours is a TLS failure', async (t) => {
  const { agent, directory } = await startGcp(t);
  const caFile = join(directory, 'other.pem');
  writeFileSync(caFile, (await createCertificateAuthority(deps.clock, deps.entropy)).ca);
  const publisher = await openGcpPublisher({ ...agent, ca_file: caFile }, deps);
  t.match(await publisher.publish(envelope('x'), attempt(LONG_MS)), { kind: 'retryable', cause: 'tls' });
  await publisher.close();
});

t.test('a key file serves as well; what is none does not open, and is not quoted', async (t) => {
  const { agent, directory } = await startGcp(t);
  writeFileSync(join(directory, 'key.json'), JSON.stringify(agent.credentials));
  writeFileSync(join(directory, 'not-a-key.json'), 'SECRET{');
  const credentials = { key_file: join(directory, 'key.json') };
  const publisher = await openGcpPublisher({ ...agent, credentials }, deps);
  t.same(await publisher.publish(envelope('x'), attempt(LONG_MS)), { kind: 'accepted' });
  await publisher.close();
  const broken = { ...agent, credentials: { key_file: join(directory, 'not-a-key.json') } };
  await t.rejects(openGcpPublisher(broken, deps), {
    message: /^[^{]*is not the key file of a service account$/,
  });
  await t.rejects(openGcpPublisher({ ...agent, ca_file: '/nowhere/ca.pem' }, deps), { code: 'ENOENT' });
});

t.test('plaintext without credentials, as to an emulator', async (t) => {
  const { cloud, agent } = await startGcp(t, true);
  t.equal(agent.insecure, true);
  const publisher = await openGcpPublisher(agent, deps);
  t.same(await publisher.publish(envelope('x'), attempt(LONG_MS)), { kind: 'accepted' });
  await cloud.setFault(fault('html503'));
  t.match(await publisher.publish(envelope('x'), attempt(LONG_MS)), {
    kind: 'unknown',
    cause: 'connection-lost',
  });
  await publisher.close();
});

t.test('what the provider refuses for good', async (t) => {
  const { agent } = await startGcp(t);
  const elsewhere = await openGcpPublisher({ ...agent, topic: 'nowhere' }, deps);
  t.match(await elsewhere.publish(envelope('x'), attempt(LONG_MS)), {
    kind: 'rejected',
    scope: 'provider',
    cause: 'not-found',
  });
  await elsewhere.close();
  const publisher = await openGcpPublisher(agent, deps);
  const largest = envelope(new Uint8Array(publisher.maxEnvelopeBytes));
  t.same(
    await publisher.publish(largest, attempt(LONG_MS)),
    { kind: 'accepted' },
    'the largest that is promised',
  );
  const larger = envelope(new Uint8Array(publisher.maxEnvelopeBytes + 1));
  t.match(await publisher.publish(larger, attempt(LONG_MS)), {
    kind: 'rejected',
    scope: 'envelope',
    cause: 'too-large',
  });
  await publisher.close();
});

t.test(
  'more at once than may be in flight wait their turn; without one they were never sent (I10)',
  async (t) => {
    const { cloud, agent } = await startGcp(t);
    const publisher = await openGcpPublisher(agent, deps);
    const burst = await Promise.all(
      Array.from({ length: 40 }, () => publisher.publish(envelope('x'), attempt(LONG_MS))),
    );
    t.ok(burst.every(({ kind }) => kind === 'accepted'));
    await cloud.setFault(fault('blackhole'));
    const held = await Promise.all(
      Array.from({ length: 10 }, () => publisher.publish(envelope('x'), attempt(200))),
    );
    const kinds = (kind: Outcome['kind']) => held.filter((outcome) => outcome.kind === kind).length;
    t.equal(kinds('unknown'), 8);
    t.equal(kinds('retryable'), 2);
    await publisher.close();
  },
);

t.test('a slow provider is no silent one: its channel stays', async (t) => {
  const { cloud, agent } = await startGcp(t);
  const tunnel = await startTunnel(t, gcpChannel(agent).client.port);
  const publisher = await openGcpPublisher({ ...agent, endpoint: `localhost:${tunnel.port}` }, deps);
  t.after(() => publisher.close());
  t.same(await publisher.publish(envelope('x'), attempt(LONG_MS)), { kind: 'accepted' });
  await cloud.setFault(fault('slow', { latencyMs: 400, jitterMs: 0 }));
  // Deadlines pass, but the answers of other tries come in meanwhile.
  for (let i = 0; i < 6; i++) {
    const kinds = [300, LONG_MS].map((ms) => publisher.publish(envelope('x'), attempt(ms)));
    t.equal((await Promise.all(kinds)).at(-1)?.kind, 'accepted');
  }
  t.equal(tunnel.opened(), 1);
});

t.test('the pause that a throttling service asks for', async (t) => {
  const { cloud, agent } = await startGcp(t);
  const publisher = await openGcpPublisher(agent, deps);
  t.after(() => publisher.close());
  await cloud.setFault(fault('throttle', { retryAfterMs: 7000 }));
  t.match(await publisher.publish(envelope('x'), attempt(LONG_MS)), {
    kind: 'throttled',
    retryAfterMs: 7000,
  });
  await cloud.setFault(fault('throttle'));
  t.match(await publisher.publish(envelope('x'), attempt(LONG_MS)), {
    kind: 'throttled',
    retryAfterMs: null,
  });
});

t.test('statuses that the loopback does not give', async (t) => {
  const of = (code: number, details: string): Outcome =>
    outcomeOf(Object.assign(new Error('x'), { code, details }));
  t.match(of(13, 'Internal error encountered.'), { kind: 'retryable', cause: 'server-error' });
  t.match(of(10, 'The operation was aborted.'), { kind: 'retryable', cause: 'server-error' });
  t.match(of(2, 'Unknown.'), { kind: 'retryable', cause: 'server-error' });
  t.match(of(1, 'The operation was cancelled.'), { kind: 'retryable', cause: 'server-error' });
  t.match(of(13, 'Received RST_STREAM with code 2 (Internal server error)'), {
    kind: 'unknown',
    cause: 'connection-lost',
  });
  t.match(of(14, 'Received HTTP status code 503'), { kind: 'retryable', cause: 'unavailable' });
  t.match(of(14, 'Name resolution failed for target dns:pubsub.googleapis.com:443'), {
    kind: 'retryable',
    cause: 'dns',
  });
  t.match(of(4, 'Deadline exceeded'), { kind: 'unknown', cause: 'deadline' });
  const minute =
    "Quota exceeded for quota metric 'Regional publisher throughput, kB' and limit 'per minute per region'";
  t.match(of(8, minute), { kind: 'throttled', cause: 'quota', retryAfterMs: null });
  t.same(of(8, 'Slow down.'), {
    kind: 'throttled',
    retryAfterMs: null,
    detail: 'RESOURCE_EXHAUSTED: Slow down.',
  });
  const large = { kind: 'rejected', scope: 'envelope', cause: 'too-large' };
  t.match(of(8, 'Received message larger than max (5000000 vs 4194304)'), large);
  t.match(of(8, 'gRPC message exceeds maximum size 4194304: 4194364'), large);
  t.match(of(7, 'User not authorized to perform this action.'), rejected);
  t.match(of(3, 'Request payload size exceeds the limit: 10485760 bytes.'), {
    kind: 'rejected',
    scope: 'envelope',
    cause: 'too-large',
  });
  t.match(of(3, 'You have passed an invalid argument to the service (argument=attributes).'), {
    kind: 'rejected',
    scope: 'envelope',
    cause: 'invalid',
  });
  t.match(
    of(2, 'Getting metadata from plugin failed with error: getaddrinfo EAI_AGAIN oauth2.googleapis.com'),
    {
      kind: 'retryable',
      cause: 'dns',
    },
  );
  t.match(outcomeOf('The client has already been closed.'), { kind: 'retryable', cause: 'not-connected' });
});

t.test('options', async (t) => {
  t.match(gcpOptions.parse({ project: 'p' }), { topic: 'headgate', insecure: false });
  t.throws(() => gcpOptions.parse({ project: 'p', endpoint: 'https://pubsub.googleapis.com' }));
  t.throws(() => gcpOptions.parse({ project: 'p', credentials: { client_email: 'x' } }));
  t.match(gcpChannel({}).client, { servicePath: 'pubsub.googleapis.com', port: 443 });
  t.match(gcpChannel({ region: 'europe-west1' }).client, {
    servicePath: 'europe-west1-pubsub.googleapis.com',
  });
  t.match(gcpChannel({ region: 'europe-west1', endpoint: 'localhost:8085' }).client, {
    servicePath: 'localhost',
    port: 8085,
  });
});
