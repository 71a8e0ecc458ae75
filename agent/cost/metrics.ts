/** The meter's metrics, read when Prometheus asks. */
import { Gauge, type Registry } from 'prom-client';
import { fixedUsdPerMonth } from '../../shared/pricing/tariff.ts';
import type { BudgetState } from './limits.ts';
import type { Meter } from './meter.ts';

const PREFIX = 'headgate_agent_cost_';
const BUDGET_STATES: readonly BudgetState[] = ['none', 'within', 'alert', 'spent'];

export function registerCosts(registry: Registry, meter: Meter): void {
  const registers = [registry];
  const gauge = (name: string, help: string, labelNames: string[], collect: (gauge: Gauge) => void): void => {
    new Gauge({
      name: PREFIX + name,
      help,
      labelNames,
      registers,
      collect() {
        this.reset();
        collect(this);
      },
    });
  };
  gauge('month_usd', 'Metered in this UTC month, by the price sheets.', ['provider'], (g) => {
    for (const { provider, month } of meter.reading().uses) g.set({ provider }, month.usd);
  });
  gauge('month_possible_usd', 'What may be on the bill too: tries that ended unknown.', ['provider'], (g) => {
    for (const { provider, month } of meter.reading().uses) g.set({ provider }, month.possibleUsd);
  });
  gauge('fixed_usd', 'Due in the month whatever is sent.', ['provider'], (g) => {
    for (const { provider, tariff } of meter.reading().uses) g.set({ provider }, fixedUsdPerMonth(tariff));
  });
  gauge('today_units', 'Units billed in this UTC day.', ['provider'], (g) => {
    for (const { provider, today } of meter.reading().uses) g.set({ provider }, today.units);
  });
  gauge('budget_state', 'One for the state that the monthly budget is in.', ['state'], (g) => {
    const { budget } = meter.reading();
    for (const state of BUDGET_STATES) g.set({ state }, state === budget ? 1 : 0);
  });
  gauge('hold', 'One for a provider that is on hold for money’s sake.', ['provider', 'reason'], (g) => {
    for (const { provider, holds } of meter.reading().uses) {
      for (const reason of holds) g.set({ provider, reason }, 1);
    }
  });
}
