/**
 * What one configured provider charges: its price sheet, and the circumstances of the account that publishes
 * there. An account is often shared by a fleet: free allotments, price tiers, IoT Hub's quota and its fee
 * belong to the account, so a gateway counts on its `share` of each.
 */
import { type HUB_TIERS, PRICE_SHEETS, type PriceSheet, type PriceSheets } from './prices.ts';

export type HubTier = (typeof HUB_TIERS)[number];

export type Tariff =
  /** `basicIngest`: published to a rule's own topic, which has no messaging charge. */
  | { type: 'aws'; sheet: PriceSheets['aws']; share: number; basicIngest: boolean }
  | { type: 'azure'; sheet: PriceSheets['azure']; share: number; tier: HubTier; hubUnits: number }
  | { type: 'gcp'; sheet: PriceSheets['gcp']; share: number }
  | { type: 'mqtt'; sheet: PriceSheets['mqtt']; share: number }
  | { type: 'https'; sheet: PriceSheets['https']; share: number };

/** Days of an average month, to turn figures per day into figures per month. */
const DAYS_PER_MONTH = 365 / 12;

/**
 * By the sheet that ships, for an account that the gateway has to itself: IoT Hub with one S1 unit, AWS by
 * topic.
 */
export function standardTariff(type: PriceSheet['type']): Tariff {
  switch (type) {
    case 'aws':
      return { type, sheet: PRICE_SHEETS.aws, share: 1, basicIngest: false };
    case 'azure':
      return { type, sheet: PRICE_SHEETS.azure, share: 1, tier: 'S1', hubUnits: 1 };
    case 'gcp':
      return { type, sheet: PRICE_SHEETS.gcp, share: 1 };
    case 'mqtt':
      return { type, sheet: PRICE_SHEETS.mqtt, share: 1 };
    case 'https':
      return { type, sheet: PRICE_SHEETS.https, share: 1 };
  }
}

/**
 * Units that the gateway may have billed in one UTC day before the provider refuses more; null: as many as it
 * likes.
 */
export function unitsPerDay(tariff: Tariff): number | null {
  if (tariff.type !== 'azure') return null;
  return Math.floor(hubTierOf(tariff).messages_per_day.value * tariff.hubUnits * tariff.share);
}

/** USD a month that are due whatever is sent: the units of a hub, the minutes of a connection. */
export function fixedUsdPerMonth(tariff: Tariff): number {
  switch (tariff.type) {
    case 'aws': {
      const { connection_usd_per_million_minutes: price, connection_minutes_per_day: minutes } = tariff.sheet;
      return (minutes.value * DAYS_PER_MONTH * price.value) / 1e6;
    }
    case 'azure':
      return hubTierOf(tariff).usd_per_month.value * tariff.hubUnits * tariff.share;
    case 'gcp':
    case 'mqtt':
    case 'https':
      return 0;
  }
}

export function hubTierOf({ sheet, tier }: Extract<Tariff, { type: 'azure' }>) {
  return sheet.tiers[tier];
}
