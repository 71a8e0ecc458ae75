/** How one kind of provider bills: what its tariffs mean. Pure (I11). */
import type { Tariff } from './tariff.ts';

export interface EnvelopeSizes {
  payloadBytes: number;
  topicBytes: number;
  /** See `propertyBytes` in metering.ts. */
  propertyBytes: number;
}

export interface PricingModel<Own extends Tariff = Tariff> {
  /** The unit in words: `5 KB message`, `byte`. */
  unit(tariff: Own): string;
  /** Units billed for one envelope. */
  billedUnits(tariff: Own, sizes: EnvelopeSizes): number;
  /** Marginal cost in USD of an envelope of `units`, after `usedThisMonth` of them. */
  costUsd(tariff: Own, units: number, sizes: EnvelopeSizes, usedThisMonth: number): number;
  /** Units that it takes in one UTC day; null: without a limit. */
  unitsPerDay(tariff: Own): number | null;
  /** USD that are due whatever is sent. */
  fixedUsdPerMonth(tariff: Own): number;
  /** Whether its own answers of 4xx and 5xx are on the bill. */
  metersErrors(tariff: Own): boolean;
}
