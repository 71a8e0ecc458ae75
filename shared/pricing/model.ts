/** How one type of provider bills by its tariffs. Pure (I11). */
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
  /** Units that the provider accepts in one UTC day; null: without a limit. */
  unitsPerDay(tariff: Own): number | null;
  /** Fixed USD per month, independent of traffic. */
  fixedUsdPerMonth(tariff: Own): number;
  /** Whether the provider bills its own answers of 4xx and 5xx. */
  metersErrors(tariff: Own): boolean;
}
