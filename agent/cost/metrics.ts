/** Metrics of provider costs. */
import type { ObservedMetrics } from '../../shared/observed-metrics.ts';
import { fixedUsdPerMonth } from '../../shared/pricing/metering.ts';
import type { BudgetState } from './limits.ts';
import type { Meter } from './meter.ts';

const BUDGET_STATES: readonly BudgetState[] = ['none', 'within', 'alert', 'spent'];

/** Registers metrics that are read at each scrape. */
export function registerCosts(metrics: ObservedMetrics, meter: Meter): void {
  const uses = () => meter.reading().uses;
  metrics.gauge('cost_month_usd', 'Metered cost of this UTC month, by the price sheets.', ['provider'], () =>
    uses().map(({ provider, month }) => [{ provider }, month.usd]),
  );
  metrics.gauge(
    'cost_month_possible_usd',
    'Cost of tries that may be billed too: those that ended unknown or in a metered error.',
    ['provider'],
    () => uses().map(({ provider, month }) => [{ provider }, month.possibleUsd]),
  );
  metrics.gauge('cost_fixed_usd', 'Fixed fees of the month.', ['provider'], () =>
    uses().map(({ provider, tariff }) => [{ provider }, fixedUsdPerMonth(tariff)]),
  );
  metrics.gauge('cost_today_units', 'Units billed in this UTC day.', ['provider'], () =>
    uses().map(({ provider, today }) => [{ provider }, today.units]),
  );
  metrics.gauge('cost_budget_state', 'One for the state that the monthly budget is in.', ['state'], () => {
    const { budget } = meter.reading();
    return BUDGET_STATES.map((state) => [{ state }, state === budget ? 1 : 0] as const);
  });
  metrics.gauge(
    'cost_hold',
    'One for a provider on hold for its quota or the budget.',
    ['provider', 'reason'],
    () =>
      uses().flatMap(({ provider, holds }) => [...holds].map((reason) => [{ provider, reason }, 1] as const)),
  );
}
