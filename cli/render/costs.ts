/** `headgate costs`. */
import type { CostReport } from '../../shared/status.ts';
import { countText, percentText, printable, table } from '../format.ts';

export function renderCosts({ since, currency, providers, total, budget }: CostReport): string {
  const rows = providers.map((provider) => [
    provider.name,
    provider.type,
    countText(provider.records),
    countText(provider.units),
    provider.unit,
    provider.cost.toFixed(4),
    provider.costPerMillionRecords === null ? '–' : provider.costPerMillionRecords.toFixed(3),
  ]);
  const headings = ['PROVIDER', 'TYPE', 'RECORDS', 'UNITS', 'UNIT', currency, `${currency}/M RECORDS`];
  const spent = `total ${total.toFixed(4)} ${currency} since ${since}`;
  const ofBudget =
    budget === null ? '' : `, ${percentText(total / budget)} of the budget of ${budget} ${currency}`;
  return `${table(headings, rows)}\n\n${printable(spent + ofBudget)}`;
}
