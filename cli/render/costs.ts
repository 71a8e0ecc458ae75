/** `headgate costs`. */
import type { CostReport, ProviderCost, StreamCost } from '../../shared/admin-api/status.ts';
import { countText, line, percentText, table } from '../format.ts';

export function renderCosts(report: CostReport): string {
  const parts = [heading(report), providerTable(report.providers)];
  if (report.streams.length > 0) parts.push(streamTable(report.streams));
  return [...parts, totals(report)].join('\n\n');
}

function heading({ day, clock, since, currency }: CostReport): string {
  const known = day === null ? 'the day is not known yet' : `UTC day ${day}`;
  const counted = `${currency}, ${known}${since === null ? '' : `, month counted since ${since}`}`;
  if (clock === 'synchronised') return line(counted);
  return `${line(counted)}\n${line('the clock is not synchronised: counts go to the last known day')}`;
}

function providerTable(providers: readonly ProviderCost[]): string {
  return table(
    [
      'PROVIDER',
      'UNIT',
      'TODAY UNITS',
      'OF QUOTA',
      'TODAY',
      'MONTH UNITS',
      'RECORDS',
      'MONTH',
      'MAYBE TOO',
      'FIXED',
      'FORECAST',
      'PER M RECORDS',
      'HOLDS',
    ],
    providers.map((provider) => [
      provider.name,
      provider.unit,
      countText(provider.today.units),
      percentText(provider.unitsPerDay === null ? null : provider.today.units / provider.unitsPerDay),
      usdText(provider.today.usd),
      countText(provider.month.units),
      countText(provider.month.records),
      usdText(provider.month.usd),
      usdText(provider.month.possibleUsd),
      usdText(provider.fixedUsd),
      usdText(provider.forecastUsd),
      usdText(provider.usdPerMillionRecords),
      provider.holds.join(', ') || 'none',
    ]),
  );
}

function streamTable(streams: readonly StreamCost[]): string {
  return table(
    ['STREAM', 'TODAY RECORDS', 'TODAY', 'RECORDS', 'MONTH', 'MAYBE TOO', 'FORECAST', 'PER M RECORDS'],
    streams.map((stream) => [
      stream.name,
      countText(stream.today.records),
      usdText(stream.today.usd),
      countText(stream.month.records),
      usdText(stream.month.usd),
      usdText(stream.month.possibleUsd),
      usdText(stream.forecastUsd),
      usdText(stream.usdPerMillionRecords),
    ]),
  );
}

function totals({ total, budget }: CostReport): string {
  const { todayUsd, monthUsd, fixedUsd, forecastUsd, usdPerMillionRecords } = total;
  const lines = [
    `today ${usdText(todayUsd)}, month ${usdText(monthUsd)} metered and ${usdText(fixedUsd)} fixed, forecast ${usdText(forecastUsd)}, ${usdText(usdPerMillionRecords)} per million records`,
  ];
  if (budget) {
    const share = percentText(budget.spentUsd / budget.usd);
    const foreseen = forecastUsd === null ? '' : `, forecast ${percentText(forecastUsd / budget.usd)}`;
    lines.push(
      `budget ${budget.usd.toFixed(2)}: ${share} spent${foreseen}; ${budget.state}, at its end: ${budget.onBudget}`,
    );
  }
  return lines.map(line).join('\n');
}

/**
 * Amounts of a cent and more with a hundredth of a cent; smaller ones with two significant digits, because an
 * envelope costs a millionth of a dollar.
 */
function usdText(usd: number | null): string {
  if (usd === null) return '–';
  return usd > 0 && usd < 0.01 ? usd.toPrecision(2) : usd.toFixed(4);
}
