/** The charges of Google Pub/Sub: bytes, published and delivered. */
import { z } from 'zod';
import type { PricingModel } from './model.ts';
import gcp from './prices/gcp.json' with { type: 'json' };
import { common, figure, OWN, priceList } from './sheet.ts';
import type { Tariff } from './tariff.ts';
import { beyond, egressUsd, GIB } from './units.ts';

const TIB = 2 ** 40;

const gcpSheet = z.strictObject({
  type: z.literal('gcp'),
  ...common,
  request_min_bytes: figure,
  timestamp_bytes: figure,
  message_id_bytes: figure,
  publish_usd_per_tib: figure,
  delivery_usd_per_tib: figure,
  free_gib_per_month: figure,
  egress_usd_per_gib: figure,
});

export type GcpSheet = z.output<typeof gcpSheet>;

export interface GcpTariff extends Tariff {
  readonly sheet: GcpSheet;
}

export const gcpPrices = priceList(gcpSheet, gcpSheet.partial().required(OWN), gcp);

export const GCP_STANDARD: GcpTariff = { type: 'gcp', sheet: gcpPrices.shipped, share: 1 };

/** Attributes count, with at least 1,000 bytes per request ("Pub/Sub pricing"). */
export const gcpModel: PricingModel<GcpTariff> = {
  unit: () => 'byte',
  billedUnits({ sheet }, { payloadBytes, propertyBytes }) {
    const { request_min_bytes, timestamp_bytes, message_id_bytes } = sheet;
    const volume = payloadBytes + propertyBytes + timestamp_bytes.value + message_id_bytes.value;
    return Math.max(request_min_bytes.value, volume);
  },
  costUsd: (tariff, units, sizes, used) => trafficUsd(tariff, units, used) + egressUsd(tariff.sheet, sizes),
  unitsPerDay: () => null,
  fixedUsdPerMonth: () => 0,
  metersErrors: () => false,
};

/** Publish and delivery both count against the free allotment, so half of it is available for publishing. */
function trafficUsd({ sheet, share }: GcpTariff, units: number, used: number): number {
  const paid = beyond(used, units, (sheet.free_gib_per_month.value * share * GIB) / 2);
  return (paid * (sheet.publish_usd_per_tib.value + sheet.delivery_usd_per_tib.value)) / TIB;
}
