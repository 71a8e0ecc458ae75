/**
 * Billing by volume: bytes at a price per GiB. It applies to an MQTT broker, to one's own router, and to
 * every type of provider without a model of its own.
 */
import { z } from 'zod';
import type { PricingModel } from './model.ts';
import https from './prices/https.json' with { type: 'json' };
import mqtt from './prices/mqtt.json' with { type: 'json' };
import { common, figure, OWN, type PriceList, priceList } from './sheet.ts';
import type { Tariff } from './tariff.ts';
import { GIB } from './units.ts';

const volumeSheet = <Type extends string>(type: Type) =>
  z.strictObject({ type: z.literal(type), ...common, usd_per_gib: figure });

export type VolumeSheet = z.output<ReturnType<typeof volumeSheet>>;

export interface VolumeTariff extends Tariff {
  readonly sheet: VolumeSheet;
}

/** The prices of a type that is billed by volume. Throws when `data` is not such a sheet. */
export function volumePrices(type: string, data: unknown): PriceList<VolumeSheet> {
  const schema = volumeSheet(type);
  return priceList(schema, schema.partial().required(OWN), data);
}

export const mqttPrices = volumePrices('mqtt', mqtt);
export const httpsPrices = volumePrices('https', https);

export const MQTT_STANDARD: VolumeTariff = { type: 'mqtt', sheet: mqttPrices.shipped, share: 1 };
export const HTTPS_STANDARD: VolumeTariff = { type: 'https', sheet: httpsPrices.shipped, share: 1 };

export const volumeModel: PricingModel<VolumeTariff> = {
  unit: () => 'byte',
  billedUnits: (_tariff, { payloadBytes, topicBytes, propertyBytes }) =>
    payloadBytes + topicBytes + propertyBytes,
  costUsd: ({ sheet }, units) => (units * sheet.usd_per_gib.value) / GIB,
  unitsPerDay: () => null,
  fixedUsdPerMonth: () => 0,
  metersErrors: () => false,
};
