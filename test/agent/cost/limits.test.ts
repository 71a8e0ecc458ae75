import t from 'tap';
import { limitsOf, type ProviderUse } from '../../../agent/cost/limits.ts';
import { type Amount, NO_AMOUNT } from '../../../agent/cost/usage.ts';
import { type Policy, policySchema } from '../../../shared/policy/policy.ts';
import { standardTariff } from '../../../shared/pricing/metering.ts';
import type { Tariff } from '../../../shared/pricing/tariff.ts';

function use(tariff: Tariff, today: Partial<Amount> = {}, month: Partial<Amount> = today): ProviderUse {
  const amounts = { today: { ...NO_AMOUNT, ...today }, month: { ...NO_AMOUNT, ...month } };
  return { provider: tariff.type, tariff, ...amounts };
}

function cost(given: Record<string, unknown>): Policy['cost'] {
  return policySchema.parse({ cost: given }).cost;
}

const aws = standardTariff('aws');
const azure = standardTariff('azure');
const gcp = standardTariff('gcp');
const mqtt = standardTariff('mqtt');

t.test('a hub is held a little before the end of its daily quota', (t) => {
  const holds = (today: Partial<Amount>) => limitsOf([use(azure, today)], cost({})).holds;
  t.same(holds({ units: 395_999 }), []);
  t.same(holds({ units: 396_000 }), [{ provider: 'azure', reason: 'quota' }]);
  t.same(holds({ units: 390_000, possibleUnits: 6000 }), [{ provider: 'azure', reason: 'quota' }], 'maybe');
  t.same(limitsOf([use(azure, {}, { units: 9e6 })], cost({})).holds, [], 'by day, not by month');
  t.same(limitsOf([use(aws, { units: 9e9 })], cost({})).holds, [], 'AWS has no such quota');
  t.end();
});

t.test('at the budget, what costs something is held; what costs nothing goes on', (t) => {
  const uses = [use(aws, { usd: 30 }), use(azure), use(gcp, { usd: 45, units: 9e11 }), use(mqtt)];
  const limits = limitsOf(uses, cost({ budget: 100 }));
  t.match(limits, { budget: 'spent', spentUsd: 100 }, '30 + 45, and the hub’s fee of 25');
  t.same(limits.holds, [
    { provider: 'aws', reason: 'budget' },
    { provider: 'gcp', reason: 'budget' },
  ]);
  t.same(limitsOf([...uses, use(gcp)], cost({ budget: 100 })).holds.length, 2, 'a free allotment goes on');
  t.match(limitsOf(uses, cost({ budget: 100, on_budget: 'alert' })), { holds: [], budget: 'spent' });
  t.match(limitsOf(uses, cost({ budget: 101 })), { holds: [], budget: 'alert' });
  t.match(limitsOf(uses, cost({ budget: 130 })), { holds: [], budget: 'within' });
  t.match(limitsOf(uses, cost({ budget: 130, alert_threshold: 0.7 })), { budget: 'alert' });
  t.match(limitsOf(uses, cost({})), { holds: [], budget: 'none' });
  t.end();
});
