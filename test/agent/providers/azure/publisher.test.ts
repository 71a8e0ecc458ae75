/** The Azure publisher, with the vendor's SDK over TLS, against the loopback hub. */

import { createHash, randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import t from 'tap';
import { azureOptions } from '../../../../agent/providers/azure/options.ts';
import type { PublishAttempt } from '../../../../agent/providers/publisher.ts';
import { createCertificateAuthority } from '../../../../loopback/ca.ts';
import { fault } from '../../../../loopback/faults.ts';
import { attempt } from '../../../attempt.ts';
import {
  brief,
  entropy,
  envelope,
  openPublisher,
  startAzure,
  startReading,
  clock as systemClock,
  withConnectionString,
} from '../../../loopback/azure-fixture.ts';
import { ManualClock } from '../../../manual-clock.ts';
import { silentServer } from '../../../silent-server.ts';
import { testDir } from '../../../test-dir.ts';
import { turns } from '../../../turns.ts';
import { until } from '../../../until.ts';

const LONG_MS = 8000;
const HUB = 'headgate.azure-devices.net';
/** Between the starts of two connects. */
const SPACING_MS = 250;
/** TCP, TLS and CONNACK together. */
const CONNECT_MS = 5000;

/** At the present time, for tokens. */
const standing = (): ManualClock => new ManualClock(systemClock.wallMs());

/** A try that ends by a clock that stands still. */
const by = (clock: ManualClock, limitMs = LONG_MS): PublishAttempt => ({
  endsAtMs: clock.monoMs() + limitMs,
  signal: new AbortController().signal,
});

t.test(
  'a binary envelope arrives byte for byte, with its properties and the identity of its gateway',
  async (t) => {
    const { cloud } = await startAzure(t);
    const publisher = await openPublisher(t, cloud.agentConfig('gw-1'));
    const reading = await startReading(t, { config: cloud.routerConfig() });
    const bytes = randomBytes(200_000);
    // A view into a larger buffer, as the encoder makes them.
    const view = new Uint8Array(
      Buffer.concat([Buffer.alloc(7), bytes, Buffer.alloc(9)]).buffer,
      7,
      bytes.length,
    );
    t.strictSame(await publisher.publish(envelope(view), attempt(LONG_MS)), { kind: 'accepted' });
    await until('the event', () => reading.deliveries.length === 1);
    const [delivery] = reading.deliveries;
    const sum = (data: Uint8Array): string => createHash('sha256').update(data).digest('hex');
    t.equal(sum(delivery?.bytes ?? Buffer.alloc(0)), sum(bytes));
    t.equal(delivery?.authenticatedGateway, 'gw-1');
    t.strictSame(cloud.meter().perStream, { vibration: 1 });
  },
);

t.test('the largest envelope passes, one byte more is refused here', async (t) => {
  const { cloud } = await startAzure(t);
  const publisher = await openPublisher(t, cloud.agentConfig('gw-1'));
  const largest = new Uint8Array(publisher.maxEnvelopeBytes);
  t.equal(brief(await publisher.publish(envelope(largest), attempt(LONG_MS))), 'accepted');
  const outcome = await publisher.publish(envelope(new Uint8Array(largest.length + 1)), attempt(LONG_MS));
  t.match(outcome, { kind: 'rejected', scope: 'envelope', cause: 'too-large' });
  t.equal(cloud.meter().accepted, 1);
});

t.test(
  'concurrent publishes share one connect and are all accepted, more than may be in flight',
  async (t) => {
    const { cloud } = await startAzure(t);
    const publisher = await openPublisher(t, cloud.agentConfig('gw-1'));
    const outcomes = await Promise.all(
      Array.from({ length: 40 }, (_, n) => publisher.publish(envelope(`${n}`), attempt(LONG_MS))),
    );
    t.same(outcomes.map(brief), new Array(40).fill('accepted'));
    t.equal(cloud.meter().requests, 41, 'one CONNECT and 40 PUBLISH');
  },
);

t.test('at most 16 publishes are with the hub at a time (I10)', async (t) => {
  const clock = standing();
  const { cloud } = await startAzure(t, { clock });
  const publisher = await openPublisher(t, cloud.agentConfig('gw-1'), { clock });
  await publisher.publish(envelope('0'), by(clock));
  await cloud.setFault(fault('throttle'));
  const before = cloud.meter().requests;
  const outcomes = Array.from({ length: 20 }, (_, n) => publisher.publish(envelope(`${n}`), by(clock, 1200)));
  await until('16 are with the hub', () => cloud.meter().requests - before >= 16);
  await turns();
  t.equal(cloud.meter().requests - before, 16);
  clock.advance(1200);
  const kinds = (await Promise.all(outcomes)).map(({ kind }) => kind);
  t.same(kinds.toSorted(), [...new Array(4).fill('retryable'), ...new Array(16).fill('unknown')]);
});

t.test('taken back, what was sent goes on to its end, and the rest never leaves', async (t) => {
  const line = standing();
  const { cloud } = await startAzure(t, { clock: line });
  const publisher = await openPublisher(t, cloud.agentConfig('gw-1'));
  const abort = new AbortController();
  const connecting = publisher.publish(envelope('0'), attempt(LONG_MS, abort.signal));
  abort.abort();
  t.match(await connecting, { kind: 'cancelled', sent: false });
  t.equal(cloud.meter().accepted, 0);
  await publisher.publish(envelope('1'), attempt(LONG_MS));
  await cloud.setFault(fault('slow', { latencyMs: 200, jitterMs: 0 }));
  const later = new AbortController();
  const sent = publisher.publish(envelope('2'), attempt(LONG_MS, later.signal));
  await until('the hub has it', () => cloud.meter().accepted === 2);
  later.abort();
  await until('its acknowledgement is on the line', () => line.isDueIn(200));
  line.advance(200);
  t.equal(brief(await sent), 'accepted', 'MQTT recalls nothing: its acceptance is billed and known');
});

t.test('a bad key is unauthorized, and says so without the key', async (t) => {
  const { cloud } = await startAzure(t);
  const key = Buffer.alloc(32, 1).toString('base64');
  const config = withConnectionString(cloud.agentConfig('gw-1'), (text) =>
    text.replace(/SharedAccessKey=[^;]+/, `SharedAccessKey=${key}`),
  );
  const publisher = await openPublisher(t, config);
  const outcome = await publisher.publish(envelope('1'), attempt(LONG_MS));
  t.match(outcome, { kind: 'rejected', scope: 'provider', cause: 'unauthorized' });
  t.notMatch(JSON.stringify(outcome), key);
});

t.test('booting while the hub is out of reach is retryable, not unauthorized, and recovers', async (t) => {
  const { cloud } = await startAzure(t);
  const clock = standing();
  const publisher = await openPublisher(t, cloud.agentConfig('gw-1'), { clock });
  const publish = async (text: string): Promise<string> =>
    brief(await publisher.publish(envelope(text), by(clock)));
  await cloud.setFault(fault('refuse'));
  t.equal(await publish('1'), 'retryable/connection-refused');
  await cloud.setFault(null);
  clock.advance(SPACING_MS - 1);
  // The outcome is that of the last connect, by another name: no other was begun.
  t.equal(await publish('2'), 'retryable/not-connected', 'connects are spaced');
  clock.advance(1);
  t.equal(await publish('3'), 'accepted');
});

t.test('a name that does not resolve is retryable', async (t) => {
  const publisher = await openPublisher(t, {
    region: 'x',
    credentials: { connection_string: 'HostName=hub.invalid;DeviceId=gw-1;SharedAccessKey=AAAA' },
  });
  t.equal(brief(await publisher.publish(envelope('1'), attempt(3000))), 'retryable/dns');
});

t.test('a server of another CA is a TLS failure', async (t) => {
  const { cloud } = await startAzure(t);
  const other = await createCertificateAuthority(systemClock, entropy);
  const caFile = `${testDir(t, { 'other.pem': other.ca })}/other.pem`;
  const publisher = await openPublisher(t, { ...cloud.agentConfig('gw-1'), ca_file: caFile });
  t.equal(brief(await publisher.publish(envelope('1'), attempt(LONG_MS))), 'retryable/tls');
});

t.test('a CA file that is not there yet is retryable, and is read when it is', async (t) => {
  const { cloud, ca } = await startAzure(t);
  const caFile = `${testDir(t, {})}/late.pem`;
  const clock = standing();
  const publisher = await openPublisher(t, { ...cloud.agentConfig('gw-1'), ca_file: caFile }, { clock });
  t.equal(brief(await publisher.publish(envelope('1'), by(clock))), 'retryable/not-connected');
  await writeFile(caFile, ca.ca);
  clock.advance(SPACING_MS);
  t.equal(brief(await publisher.publish(envelope('2'), by(clock))), 'accepted');
});

t.test('X.509: the certificate of the device lets it in, that of another does not', async (t) => {
  const { cloud, ca, caFile } = await startAzure(t);
  cloud.registerX509Device('gw-x');
  const gateway = /GatewayHostName=([^;"]+)/.exec(JSON.stringify(cloud.agentConfig('gw-1')))?.[1];
  const open = async (commonName: string): Promise<string> => {
    const { cert, key } = await ca.issue(commonName, 'client');
    const dir = testDir(t, { 'cert.pem': cert, 'key.pem': key, 'ca.pem': ca.ca });
    const publisher = await openPublisher(t, {
      region: 'westeurope',
      ca_file: caFile,
      credentials: {
        x509: {
          host_name: HUB,
          gateway_host_name: gateway,
          device_id: 'gw-x',
          cert_file: `${dir}/cert.pem`,
          key_file: `${dir}/key.pem`,
        },
      },
    });
    return brief(await publisher.publish(envelope('1', 'gw-x'), attempt(LONG_MS)));
  };
  t.equal(await open('gw-x'), 'accepted');
  t.equal(await open('gw-y'), 'rejected/unauthorized');
});

t.test('close ends a publish that nobody acknowledges, which is then unknown', async (t) => {
  const { cloud } = await startAzure(t);
  const clock = standing();
  const publisher = await openPublisher(t, cloud.agentConfig('gw-1'), { clock });
  await publisher.publish(envelope('0'), by(clock));
  await cloud.setFault(fault('blackhole'));
  const inFlight = publisher.publish(envelope('1'), by(clock));
  await turns();
  await publisher.close();
  t.equal(brief(await inFlight), 'unknown/connection-lost', 'with the clock stopped');
  t.equal(brief(await publisher.publish(envelope('2'), by(clock))), 'retryable/not-connected');
});

/** To a server that takes connections and says nothing. */
const silentHub = (port: number): object => ({
  region: 'x',
  credentials: {
    connection_string: `HostName=${HUB};DeviceId=gw-1;SharedAccessKey=AAAA;GatewayHostName=127.0.0.1:${port}`,
  },
});

t.test('close ends a connect that hangs, and nothing was sent', async (t) => {
  const server = await silentServer(t);
  const clock = standing();
  const publisher = await openPublisher(t, silentHub(server.port), { clock });
  const waiting = publisher.publish(envelope('1'), by(clock));
  await until('it connects', () => server.connections() === 1);
  await publisher.close();
  t.equal(brief(await waiting), 'retryable/not-connected', 'with the clock stopped');
});

t.test('a peer that accepts and never speaks ends in 5 s, not in the 60 of the SDK', async (t) => {
  const server = await silentServer(t);
  const clock = standing();
  const publisher = await openPublisher(t, silentHub(server.port), { clock });
  let outcome = '';
  const publishing = publisher.publish(envelope('1'), by(clock, 15_000)).then((one) => {
    outcome = brief(one);
  });
  await until('it connects', () => server.connections() === 1);
  clock.advance(CONNECT_MS - 1);
  await turns();
  t.equal(outcome, '', 'not before');
  clock.advance(1);
  await publishing;
  t.equal(outcome, 'retryable/not-connected');
});

t.test(
  'token renewal loses and doubles nothing: the connection is left when its last publish is answered',
  async (t) => {
    const { cloud } = await startAzure(t);
    const clock = standing();
    const sessionLifetimeMs = 400;
    const publisher = await openPublisher(t, cloud.agentConfig('gw-1'), { clock, sessionLifetimeMs });
    const outcomes: string[] = [];
    let isOver: boolean = false;
    const stream = async (): Promise<void> => {
      while (!isOver) {
        outcomes.push(brief(await publisher.publish(envelope('x'), by(clock))));
        await turns(1);
      }
    };
    const streams = [stream(), stream(), stream()];
    for (let renewal = 1; renewal <= 3; renewal += 1) {
      const before = outcomes.length;
      await until('publishes pass', () => outcomes.length > before + 20);
      clock.advance(sessionLifetimeMs);
    }
    const before = outcomes.length;
    await until('publishes pass', () => outcomes.length > before + 20);
    isOver = true;
    await Promise.all(streams);
    t.same([...new Set(outcomes)], ['accepted']);
    const { accepted, requests } = cloud.meter();
    t.equal(accepted, outcomes.length);
    t.equal(requests - accepted, 4, 'connections');
  },
);

t.test('options: what is missing is named, and no secret is repeated', (t) => {
  const parse = (credentials: unknown) => azureOptions.safeParse({ region: 'westeurope', credentials });
  t.ok(parse({ connection_string: `HostName=${HUB};DeviceId=d;SharedAccessKey=c2VjcmV0` }).success);
  const bad = parse({ connection_string: `HostName=${HUB};SharedAccessKey=c2VjcmV0` });
  t.notOk(bad.success);
  t.match(bad.error?.message ?? '', /DeviceId/);
  t.notMatch(bad.error?.message ?? '', /c2VjcmV0/);
  t.notOk(parse({}).success);
  t.end();
});
