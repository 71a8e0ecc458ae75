/** The charges of Azure IoT Hub: a fee per unit with a daily quota of messages. */
import { z } from 'zod';
import type { PricingModel } from './model.ts';
import azure from './prices/azure.json' with { type: 'json' };
import { common, figure, OWN, positive, priceList } from './sheet.ts';
import type { Tariff } from './tariff.ts';
import { egressUsd, started } from './units.ts';

export const HUB_TIERS = ['F1', 'B1', 'B2', 'B3', 'S1', 'S2', 'S3'] as const;

export type HubTier = (typeof HUB_TIERS)[number];

const hubTier = z.strictObject({ usd_per_month: figure, messages_per_day: positive, meter_bytes: positive });

const azureSheet = z.strictObject({
  type: z.literal('azure'),
  ...common,
  tiers: z.record(z.enum(HUB_TIERS), hubTier),
  egress_usd_per_gib: figure,
});

export type AzureSheet = z.output<typeof azureSheet>;

export interface AzureTariff extends Tariff {
  readonly sheet: AzureSheet;
  readonly tier: HubTier;
  readonly hubUnits: number;
}

export const azurePrices = priceList(azureSheet, azureSheet.partial().required(OWN), azure);

/** A hub of one S1 unit for one gateway. */
export const AZURE_STANDARD: AzureTariff = {
  type: 'azure',
  sheet: azurePrices.shipped,
  share: 1,
  tier: 'S1',
  hubUnits: 1,
};

/**
 * Units are messages of 4 KB, 0.5 KB in the free tier; properties count, the topic does not ("IoT Hub
 * pricing"). A further message costs nothing within the quota; beyond it the hub refuses messages.
 */
export const azureModel: PricingModel<AzureTariff> = {
  unit: ({ tier }) => (tier === 'F1' ? '0.5 KB message' : '4 KB message'),
  billedUnits: (tariff, { payloadBytes, propertyBytes }) =>
    started(payloadBytes + propertyBytes, tierOf(tariff).meter_bytes.value),
  costUsd: ({ sheet }, _units, sizes) => egressUsd(sheet, sizes),
  unitsPerDay: (tariff) => Math.floor(tierOf(tariff).messages_per_day.value * tariff.hubUnits * tariff.share),
  fixedUsdPerMonth: (tariff) => tierOf(tariff).usd_per_month.value * tariff.hubUnits * tariff.share,
  metersErrors: () => false,
};

function tierOf({ sheet, tier }: AzureTariff): z.output<typeof hubTier> {
  return sheet.tiers[tier];
}
