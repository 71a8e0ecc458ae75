/** A router process whose only source is down says so in `/readyz`, and is ready once it is up. */
import { join } from 'node:path';
import t from 'tap';
import { fault } from '../../loopback/faults.ts';
import { TcpProxy } from '../../loopback/tcp-proxy.ts';
import { systemClock as clock } from '../../shared/clock.ts';
import { systemEntropy as entropy } from '../../shared/entropy.ts';
import { startPlainBroker } from '../plain-broker.ts';
import { routerProcess } from '../servers/router-process.ts';
import { testDir } from '../test-dir.ts';
import { until } from '../until.ts';

t.test('a router whose only source is down is not ready', async (t) => {
  const broker = await startPlainBroker();
  t.teardown(() => broker.stop());
  const proxy = new TcpProxy({ targetPort: broker.port, port: 0, clock, entropy });
  await proxy.start();
  t.teardown(() => proxy.stop());
  const source = { name: 'own', type: 'mqtt', url: `mqtt://127.0.0.1:${proxy.port}` };
  const router = await routerProcess(join(testDir(t), 'router'), { sources: [source] });
  t.teardown(() => router.kill());
  await router.start();
  await proxy.setFault(fault('refuse'));
  await until('the source is missed', async () => {
    const readiness = await router.readiness();
    return readiness?.status === 503 && /^own: /.test(readiness.failing['sources'] ?? '');
  });
  await proxy.setFault(null);
  await until('it is ready again', async () => (await router.readiness())?.status === 200);
  t.pass('ready again');
});
