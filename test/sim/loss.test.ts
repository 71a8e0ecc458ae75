/** Failover must not flap: the whole agent on a virtual clock, with steady traffic. */
import t from 'tap';
import { plainProposal } from './policies.ts';
import { World } from './world.ts';

t.test('a primary that loses 30 % costs at most one switch in ten minutes', async (t) => {
  const world = new World(1, { gateways: 1, endMs: 0, faults: [] }, plainProposal({}));
  const [gateway] = world.gateways;
  if (!gateway) throw new Error('a world has a gateway');
  world.steady(gateway, 'telemetry', 500, 660_000);
  await world.time.runTo(60_000);
  const before = gateway.switches;
  const chosen = gateway.chosen('telemetry');
  for (const cloud of world.clouds.values()) {
    if (cloud.name === chosen) cloud.faults.add({ kind: 'loss', gateway: null, share: 0.3 });
  }
  await world.time.runTo(660_000);
  t.ok(chosen, `${chosen} loses`);
  t.ok(gateway.switches - before <= 1, `${gateway.switches - before} switches`);
  t.strictSame(world.truth.violations, []);
});
