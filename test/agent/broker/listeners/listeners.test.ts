/** Each listener has its own state: a listener that cannot bind does not stop the others (I9). */
import { renameSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { connectAsync } from 'mqtt';
import t from 'tap';
import { readinessChecks } from '../../../../agent/admin/readiness.ts';
import { testDir } from '../../../test-dir.ts';
import { until } from '../../../until.ts';
import { bufferFile, storeOn } from '../../store/fixture.ts';
import { startBroker } from '../fixture.ts';
import { server } from './tls-fixture.ts';

t.test('a port in use and a certificate that is not there: said, tried again, and used', async (t) => {
  const host = '127.0.0.1';
  const blocker = createServer();
  await new Promise<void>((resolve) => blocker.listen(0, host, resolve));
  const address = blocker.address();
  const port = typeof address === 'object' && address ? address.port : 0;
  const dir = testDir(t, { 'key.pem': server.key, 'not-yet.pem': server.cert });
  const tls = {
    certFile: join(dir, 'cert.pem'),
    keyFile: join(dir, 'key.pem'),
    clientCaFile: undefined,
    auth: 'password' as const,
    deviceName: 'cn' as const,
  };
  const { broker } = await startBroker((_, settled) => settled(null), {
    listeners: [
      { type: 'tcp', host, port },
      { type: 'tls', host, port: 0, tls },
      { type: 'tcp', host, port: 0 },
    ],
  });
  t.teardown(() => broker.stop());
  t.match(broker.listeners(), [
    { type: 'tcp', port, error: /EADDRINUSE/ },
    { type: 'tls', error: /ENOENT/ },
    { type: 'tcp', error: null },
  ]);
  const { store } = storeOn(bufferFile(dir));
  const checks: Partial<ReturnType<typeof readinessChecks>> = readinessChecks({
    store,
    broker,
    stranded: () => new Map(),
  });
  const ready = (): string | null | undefined => checks['broker']?.();
  t.match(ready(), new RegExp(`tcp listener on ${host}:${port}: .*EADDRINUSE.*; tls listener on .*ENOENT`));
  const url = `mqtt://${host}:${broker.addresses()[0]?.port}`;
  const device = await connectAsync(url, { protocolVersion: 4 });
  await device.publishAsync('a', 'x', { qos: 1 });
  await new Promise((resolve) => blocker.close(resolve));
  renameSync(join(dir, 'not-yet.pem'), join(dir, 'cert.pem'));
  await until('all listen', () => ready() === null);
  const other = await connectAsync(`mqtt://${host}:${port}`, { protocolVersion: 4 });
  await Promise.all([device.endAsync(), other.endAsync()]);
});

t.test('a stop does not wait for a listener that cannot listen', async (t) => {
  const blocker = createServer();
  await new Promise<void>((resolve) => blocker.listen(0, '127.0.0.1', resolve));
  const address = blocker.address();
  const port = typeof address === 'object' && address ? address.port : 0;
  const { broker } = await startBroker((_, settled) => settled(null), {
    listeners: [{ type: 'tcp', host: '127.0.0.1', port }],
  });
  await broker.stop();
  t.same(broker.addresses(), []);
  await new Promise((resolve) => blocker.close(resolve));
});
