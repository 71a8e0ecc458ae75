/** The answer of `/v1/costs` for `headgate costs`, from the meter's reading. Pure (I11). */

import type { CostReport, ProviderCost, StreamCost } from '../../shared/admin-api/status.ts';
import { isoTime } from '../../shared/clock.ts';
import type { Policy } from '../../shared/policy/policy.ts';
import { fixedUsdPerMonth, unitOf, unitsPerDay } from '../../shared/pricing/metering.ts';
import { dayOf } from './calendar.ts';
import { monthForecast } from './forecast.ts';
import type { MeterReading } from './meter.ts';
import { type Amount, sumOf } from './usage.ts';

export function costReport(reading: MeterReading, cost: Policy['cost']): CostReport {
  const { usage, synchronised, uses, budget, spentUsd } = reading;
  const { atMs, dated, sinceMs } = usage;
  const forecast = (usd: number): number | null => monthForecast(usd, sinceMs, dated ? atMs : sinceMs);
  const providers = uses.map(({ provider, tariff, today, month, holds }): ProviderCost => {
    const fixedUsd = fixedUsdPerMonth(tariff);
    return {
      name: provider,
      type: tariff.type,
      unit: unitOf(tariff),
      pricesDated: tariff.sheet.dated,
      today,
      month,
      fixedUsd,
      forecastUsd: plus(forecast(month.usd), fixedUsd),
      usdPerMillionRecords: perMillion(month.usd, month.records),
      unitsPerDay: unitsPerDay(tariff),
      holds: [...holds],
    };
  });
  const all = sumOf(providers.map(({ month }) => month));
  const fixedUsd = providers.reduce((sum, provider) => sum + provider.fixedUsd, 0);
  return {
    kind: 'costs',
    currency: 'USD',
    day: dated ? dayOf(atMs) : null,
    clock: synchronised ? 'synchronised' : 'unsynchronised',
    since: dated ? isoTime(sinceMs) : null,
    providers,
    streams: streamsOf(usage.entries, forecast),
    total: {
      todayUsd: sumOf(providers.map(({ today }) => today)).usd,
      monthUsd: all.usd,
      fixedUsd,
      forecastUsd: plus(forecast(all.usd), fixedUsd),
      usdPerMillionRecords: perMillion(all.usd, all.records),
    },
    budget:
      cost.budget === undefined
        ? null
        : { usd: cost.budget, spentUsd, state: budget, onBudget: cost.on_budget },
  };
}

function streamsOf(
  entries: MeterReading['usage']['entries'],
  forecast: (usd: number) => number | null,
): StreamCost[] {
  const names = [...new Set(entries.map(({ stream }) => stream))].sort();
  return names.map((name) => {
    const own = entries.filter(({ stream }) => stream === name);
    const month = withoutUnits(sumOf(own.map((entry) => entry.month)));
    return {
      name,
      today: withoutUnits(sumOf(own.map((entry) => entry.today))),
      month,
      forecastUsd: forecast(month.usd),
      usdPerMillionRecords: perMillion(month.usd, month.records),
    };
  });
}

function withoutUnits({ records, usd, possibleUsd }: Amount): StreamCost['month'] {
  return { records, usd, possibleUsd };
}

function perMillion(usd: number, records: number): number | null {
  return records > 0 ? (usd / records) * 1e6 : null;
}

function plus(usd: number | null, fixedUsd: number): number | null {
  return usd === null ? null : usd + fixedUsd;
}
