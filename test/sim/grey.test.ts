/**
 * Grey failure in a stream that waits for receipts: a cloud acknowledges and drops, and nothing is lost (I3).
 */
import t from 'tap';
import { plainProposal } from './policies.ts';
import { World } from './world.ts';

t.test('a cloud that acknowledges and drops is found by its receipts', async (t) => {
  const proposal = plainProposal({ until: 'receipt', preferred_providers: ['aws'] });
  const world = new World(1, { gateways: 1, endMs: 0, faults: [] }, proposal);
  const [gateway] = world.gateways;
  const aws = world.clouds.get('aws');
  if (!gateway || !aws) throw new Error('a world has both');
  world.steady(gateway, 'telemetry', 500, 180_000);
  await world.time.runTo(60_000);
  t.equal(gateway.chosen('telemetry'), 'aws');
  aws.faults.add({ kind: 'grey', gateway: null, share: 1 });
  await world.time.runTo(120_000);
  t.ok(gateway.undelivered > 0, 'its receipts were missed');
  t.not(gateway.chosen('telemetry'), 'aws');
  aws.faults.clear();
  await world.time.runTo(600_000);
  const records = [...world.truth.records.values()];
  t.equal(records.length, 360);
  t.ok(
    records.every(({ isInLedger }) => isInLedger),
    'all are in the ledger',
  );
  t.ok(gateway.isDrained, 'and no row is left');
  t.strictSame(world.truth.violations, []);
});
