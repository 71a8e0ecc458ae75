/** Routers that share an event hub, with the vendor's SDK over TLS, against the loopback hub. */
import t from 'tap';
import { fault } from '../../../../loopback/faults.ts';
import { TcpProxy } from '../../../../loopback/tcp-proxy.ts';
import { ownedBy, parseShares } from '../../../../router/sources/event-hubs/shares.ts';
import { attempt } from '../../../attempt.ts';
import {
  clock,
  entropy,
  envelope,
  memoryCheckpoints,
  openPublisher,
  startAzure,
  startReading,
  withConnectionString,
} from '../../../loopback/azure-fixture.ts';
import { until } from '../../../until.ts';

/** By router, how many partitions it has. */
function parts(saved: Map<string, string>): number[] {
  const [text = null] = saved.values();
  const shares = parseShares(text);
  return Object.keys(shares.routers).map((router) => ownedBy(shares, router).length);
}

/** By router, how many turns it has taken. */
function beats(saved: Map<string, string>): number[] {
  const [text = null] = saved.values();
  return Object.values(parseShares(text).routers);
}

t.test('routers share the partitions, also when one of them does not reach the hub', async (t) => {
  const { cloud } = await startAzure(t);
  const gateways = ['gw-1', 'gw-2', 'gw-3', 'gw-4'];
  const publishers = await Promise.all(gateways.map((name) => openPublisher(t, cloud.agentConfig(name))));
  const send = async (text: string): Promise<void> => {
    const sent = publishers.map((publisher, i) =>
      publisher.publish(envelope(text, gateways[i]), attempt(8000)),
    );
    for (const { kind } of await Promise.all(sent)) t.equal(kind, 'accepted');
  };
  const checkpoints = memoryCheckpoints(true);
  const config = cloud.routerConfig();
  const port = Number(/localhost:(\d+)/.exec(JSON.stringify(config))?.[1]);
  const proxy = new TcpProxy({ targetPort: port, port: 0, clock, entropy });
  await proxy.start();
  t.teardown(() => proxy.stop());
  const proxied = withConnectionString(config, (text) => text.replace(`:${port}`, `:${proxy.port}`));
  const leaseMs = 2000;
  const first = await startReading(t, { config: proxied, checkpoints, leaseMs });
  await send('1');
  await until('all by the first', () => first.source.state().settled === 4);
  const second = await startReading(t, { config, checkpoints, leaseMs });
  await until('the second', () => second.source.state().connected);
  await until('an even share', () => parts(checkpoints.saved).join() === '1,1');
  // By its next turn the first knows.
  const then = beats(checkpoints.saved);
  await until('a turn of each', () => beats(checkpoints.saved).every((beat, i) => beat > (then[i] ?? 0)));
  const before = second.deliveries.length;
  await send('2');
  await until('all by both', () => first.texts().length - 4 + second.deliveries.length - before === 4);
  t.ok(first.texts().includes('2') && second.texts().includes('2'), 'each its part');
  await proxy.setFault(fault('refuse'));
  cloud.cutConsumers();
  await until('the loss', () => !first.source.state().connected);
  await send('3');
  const readBySecond = (): number => second.texts().filter((text) => text === '3').length;
  await until('all by the second', () => readBySecond() === 4);
});
