/**
 * A try ends by its deadline in every phase that gets no answer, names the phase, and service is normal once
 * the other side answers again.
 */
import { writeFileSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { openAwsPublisher } from '../../../agent/providers/aws/publisher.ts';
import { openGcpPublisher } from '../../../agent/providers/gcp/publisher.ts';
import { mqttOptions } from '../../../agent/providers/mqtt/options.ts';
import { openMqttPublisher } from '../../../agent/providers/mqtt/publisher.ts';
import type { Publisher } from '../../../agent/providers/publisher.ts';
import { SupervisedPublisher } from '../../../agent/providers/supervised.ts';
import { createLogger } from '../../../shared/log.ts';
import { attempt } from '../../attempt.ts';
import { deps, envelope, startGcp } from '../../loopback/gcp-support.ts';
import { startAws } from '../../loopback/start-aws.ts';
import { ManualClock } from '../../manual-clock.ts';
import { testDir } from '../../test-dir.ts';
import { asTimePasses, until } from '../../until.ts';
import { KINDS } from './kinds.ts';
import { startTunnel } from './tunnel.ts';

const LONG_MS = 120_000;
const SHORT_MS = 300;

t.setTimeout(300_000);

/** Accepts connections and never says anything. */
async function startMute(t: Test): Promise<{ port: number; connections: () => number }> {
  const sockets = new Set<Socket>();
  let connections = 0;
  const server: Server = createServer((socket) => {
    connections += 1;
    sockets.add(socket);
    socket.resume().on('error', () => undefined);
    socket.on('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise<void>((resolve) => server.close(() => resolve()));
  });
  const address = server.address();
  return {
    port: typeof address === 'object' && address ? address.port : 0,
    connections: () => connections,
  };
}

/** Sets environment variables for the length of the test. */
function environment(t: Test, added: Record<string, string>): void {
  const before = { ...process.env };
  Object.assign(process.env, added);
  t.teardown(() => {
    for (const name of Object.keys(added)) {
      if (before[name] === undefined) delete process.env[name];
      else process.env[name] = before[name];
    }
  });
}

async function acceptedAgain(publisher: Publisher): Promise<void> {
  await until('a publish is accepted', async () => {
    const outcome = await publisher.publish(envelope('x'), attempt(LONG_MS));
    return outcome.kind === 'accepted';
  });
}

for (const [name, kind] of Object.entries(KINDS)) {
  t.test(`${name}: a handshake that nobody answers, then an answer that does not come`, async (t) => {
    const cloud = await kind.start(t);
    const tunnel = await startTunnel(t, cloud.port);
    const publisher = await cloud.open(tunnel.port);
    t.after(() => publisher.close());
    tunnel.hold('all');
    const kinds = new Set<string>();
    // On a busy machine the look-up of the name alone may take the first of them.
    await until('the handshake is named', async () => {
      const outcome = await publisher.publish(envelope('x'), attempt(SHORT_MS));
      kinds.add(outcome.kind);
      return 'detail' in outcome && /^the (TLS handshake|login)/.test(outcome.detail);
    });
    t.same([...kinds], ['retryable']);
    tunnel.release();
    await acceptedAgain(publisher);
    tunnel.hold('answers');
    const unanswered = await publisher.publish(envelope('x'), attempt(SHORT_MS));
    t.match(unanswered, { kind: 'unknown', cause: 'deadline', detail: /^no answer within \d+ ms/ });
    tunnel.release();
    await acceptedAgain(publisher);
  });
}

t.test('mqtt: a broker that never answers a CONNECT', async (t) => {
  const mute = await startMute(t);
  const publisher = await openMqttPublisher(
    mqttOptions.parse({ url: `mqtt://127.0.0.1:${mute.port}` }),
    deps,
  );
  t.after(() => publisher.close());
  const outcome = await publisher.publish(envelope('x'), attempt(SHORT_MS));
  t.match(outcome, { cause: 'timeout', detail: /^the login was not answered/ });
  await until('it tries another connection', async () => {
    await publisher.publish(envelope('x'), attempt(SHORT_MS));
    return mute.connections() > 1;
  });
});

t.test('aws: a credential service that never answers is named, and asked anew', async (t) => {
  const mute = await startMute(t);
  const { agent } = await startAws(t);
  const dir = testDir(t, { token: 'a token' });
  environment(t, {
    AWS_WEB_IDENTITY_TOKEN_FILE: join(dir, 'token'),
    AWS_ROLE_ARN: 'arn:aws:iam::123456789012:role/gateway',
    AWS_ENDPOINT_URL_STS: `http://127.0.0.1:${mute.port}`,
    AWS_CONFIG_FILE: '/nonexistent',
    AWS_SHARED_CREDENTIALS_FILE: '/nonexistent',
  });
  const { credentials: good, ...chain } = agent;
  const publisher = await openAwsPublisher(chain, deps);
  t.after(() => publisher.close());
  const outcome = await publisher.publish(envelope('x'), attempt(1500));
  t.match(outcome, { cause: 'timeout', detail: /^the credentials were not received within 1500 ms/ });
  await until('a new client asks again', async () => {
    await publisher.publish(envelope('x'), attempt(SHORT_MS));
    return mute.connections() > 1;
  });
  // The service is back: the chain finds credentials by itself.
  process.env['AWS_ACCESS_KEY_ID'] = good?.access_key_id;
  process.env['AWS_SECRET_ACCESS_KEY'] = good?.secret_access_key;
  t.teardown(() => {
    delete process.env['AWS_ACCESS_KEY_ID'];
    delete process.env['AWS_SECRET_ACCESS_KEY'];
  });
  await acceptedAgain(publisher);
});

t.test('gcp: a token endpoint that never answers is named, and asked anew', async (t) => {
  const mute = await startMute(t);
  const { agent, directory: dir } = await startGcp(t);
  const file = join(dir, 'adc.json');
  writeFileSync(
    file,
    JSON.stringify({
      type: 'external_account',
      audience: '//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/q',
      subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
      token_url: `http://127.0.0.1:${mute.port}/token`,
      credential_source: { file: join(dir, 'subject') },
    }),
  );
  writeFileSync(join(dir, 'subject'), 'a token of somebody else');
  environment(t, { GOOGLE_APPLICATION_CREDENTIALS: file });
  const { credentials: _, ...chain } = agent;
  const publisher = await openGcpPublisher(chain, deps);
  t.after(() => publisher.close());
  const outcome = await publisher.publish(envelope('x'), attempt(1500));
  t.match(outcome, { cause: 'timeout', detail: /^the credentials were not received within 1500 ms/ });
  const late = await publisher.publish(envelope('x'), attempt(LONG_MS));
  t.match(late, { kind: 'retryable', detail: /the endpoint of the token did not answer/ });
  await until('it is asked anew', async () => {
    await publisher.publish(envelope('x'), attempt(SHORT_MS));
    return mute.connections() > 1;
  });
});

t.test('a publisher whose opening never ends is opened again', async () => {
  const clock = new ManualClock();
  const log = createLogger({ level: 'silent', levels: {} });
  let opened = 0;
  new SupervisedPublisher({
    provider: 'p',
    type: 'file',
    open: () => {
      opened += 1;
      return new Promise<Publisher>(() => undefined);
    },
    clock,
    log,
  });
  clock.advance(60_000);
  await asTimePasses(clock, 5000, 'the first opening is given up', async () => opened === 2);
});
