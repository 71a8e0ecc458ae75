/** The Azure publisher, with the vendor's SDK over TLS, against the loopback hub. */

import { createHash, randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import t from 'tap';
import { azureOptions } from '../../../../agent/providers/azure/options.ts';
import { createCertificateAuthority } from '../../../../loopback/ca.ts';
import { fault } from '../../../../loopback/faults.ts';
import { attempt } from '../../../attempt.ts';
import {
  brief,
  clock,
  entropy,
  envelope,
  openPublisher,
  sleep,
  startAzure,
  startReading,
  until,
  withConnectionString,
} from '../../../loopback/azure-fixture.ts';
import { testDir } from '../../../test-dir.ts';

const LONG_MS = 8000;
const HUB = 'headgate.azure-devices.net';

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
    await until(t, 'the event', () => reading.deliveries.length === 1);
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
  const { cloud } = await startAzure(t);
  const publisher = await openPublisher(t, cloud.agentConfig('gw-1'));
  await publisher.publish(envelope('0'), attempt(LONG_MS));
  await cloud.setFault(fault('throttle'));
  const requests = cloud.meter().requests;
  const outcomes = Array.from({ length: 20 }, (_, n) => publisher.publish(envelope(`${n}`), attempt(1200)));
  await sleep(600);
  t.equal(cloud.meter().requests - requests, 16);
  const kinds = (await Promise.all(outcomes)).map(({ kind }) => kind);
  t.same(kinds.toSorted(), [...new Array(4).fill('retryable'), ...new Array(16).fill('unknown')]);
});

t.test('taken back, what was sent goes on to its end, and the rest never leaves', async (t) => {
  const { cloud } = await startAzure(t);
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
  await sleep(50);
  later.abort();
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
  const publisher = await openPublisher(t, cloud.agentConfig('gw-1'));
  await cloud.setFault(fault('refuse'));
  t.equal(brief(await publisher.publish(envelope('1'), attempt(LONG_MS))), 'retryable/connection-refused');
  const start = clock.monoMs();
  t.match(await publisher.publish(envelope('2'), attempt(LONG_MS)), {
    kind: 'retryable',
    cause: 'not-connected',
  });
  t.ok(clock.monoMs() - start < 100, 'connects are spaced: the next try is answered at once');
  await cloud.setFault(null);
  await sleep(300);
  t.equal(brief(await publisher.publish(envelope('3'), attempt(LONG_MS))), 'accepted');
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
  const other = await createCertificateAuthority(clock, entropy);
  const caFile = `${testDir(t, { 'other.pem': other.ca })}/other.pem`;
  const publisher = await openPublisher(t, { ...cloud.agentConfig('gw-1'), ca_file: caFile });
  t.equal(brief(await publisher.publish(envelope('1'), attempt(LONG_MS))), 'retryable/tls');
});

t.test('a CA file that is not there yet is retryable, and is read when it is', async (t) => {
  const { cloud, ca } = await startAzure(t);
  const caFile = `${testDir(t, {})}/late.pem`;
  const publisher = await openPublisher(t, { ...cloud.agentConfig('gw-1'), ca_file: caFile });
  t.equal(brief(await publisher.publish(envelope('1'), attempt(LONG_MS))), 'retryable/not-connected');
  await writeFile(caFile, ca.ca);
  await sleep(300);
  t.equal(brief(await publisher.publish(envelope('2'), attempt(LONG_MS))), 'accepted');
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

t.test('close is quick with a publish that nobody acknowledges, which is then unknown', async (t) => {
  const { cloud } = await startAzure(t);
  const publisher = await openPublisher(t, cloud.agentConfig('gw-1'));
  await publisher.publish(envelope('0'), attempt(LONG_MS));
  await cloud.setFault(fault('blackhole'));
  const inFlight = publisher.publish(envelope('1'), attempt(LONG_MS));
  await sleep(50);
  const start = clock.monoMs();
  await publisher.close();
  t.equal(brief(await inFlight), 'unknown/connection-lost');
  t.ok(clock.monoMs() - start < 1000);
  t.equal(brief(await publisher.publish(envelope('2'), attempt(LONG_MS))), 'retryable/not-connected');
});

t.test('close is quick while a connect hangs, and nothing was sent', async (t) => {
  const { cloud } = await startAzure(t);
  const publisher = await openPublisher(t, cloud.agentConfig('gw-1'));
  await cloud.setFault(fault('blackhole'));
  const waiting = publisher.publish(envelope('1'), attempt(LONG_MS));
  await sleep(50);
  const start = clock.monoMs();
  await publisher.close();
  t.equal(brief(await waiting), 'retryable/not-connected');
  t.ok(clock.monoMs() - start < 1000);
});

t.test('a peer that accepts and never speaks ends in 5 s, not in the 60 of the SDK', async (t) => {
  const silent = createServer((socket) => socket.resume());
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
  t.teardown(() => new Promise((resolve) => silent.close(resolve)));
  const address = silent.address();
  const port = address && typeof address === 'object' ? address.port : 0;
  const publisher = await openPublisher(t, {
    region: 'x',
    credentials: {
      connection_string: `HostName=${HUB};DeviceId=gw-1;SharedAccessKey=AAAA;GatewayHostName=127.0.0.1:${port}`,
    },
  });
  const start = clock.monoMs();
  t.match(await publisher.publish(envelope('1'), attempt(15_000)), {
    kind: 'retryable',
    cause: 'not-connected',
  });
  const tookMs = clock.monoMs() - start;
  t.ok(tookMs > 4500 && tookMs < 7000, `${Math.round(tookMs)} ms`);
});

t.test(
  'token renewal loses and doubles nothing: the connection is left when its last publish is answered',
  async (t) => {
    const { cloud } = await startAzure(t);
    const publisher = await openPublisher(t, cloud.agentConfig('gw-1'), 400);
    const outcomes: string[] = [];
    const end = clock.monoMs() + 1500;
    const stream = async (): Promise<void> => {
      while (clock.monoMs() < end) {
        outcomes.push(brief(await publisher.publish(envelope('x'), attempt(LONG_MS))));
        await sleep(1);
      }
    };
    await Promise.all([stream(), stream(), stream()]);
    t.same([...new Set(outcomes)], ['accepted']);
    const { accepted, requests } = cloud.meter();
    t.equal(accepted, outcomes.length);
    t.ok(requests - accepted >= 3, `${requests - accepted} connections`);
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
