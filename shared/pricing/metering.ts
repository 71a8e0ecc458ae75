/**
 * The billed units of one envelope, by the pricing model of the provider's type. The agent counts before it
 * is billed, and the loopback clouds count by the vendors' rules; the two must agree.
 */
import { AWS_STANDARD, awsModel } from './aws.ts';
import { AZURE_STANDARD, azureModel } from './azure.ts';
import { GCP_STANDARD, gcpModel } from './gcp.ts';
import type { EnvelopeSizes, PricingModel } from './model.ts';
import type { Tariff } from './tariff.ts';
import { HTTPS_STANDARD, MQTT_STANDARD, volumeModel } from './volume.ts';

export type { EnvelopeSizes } from './model.ts';

/** Models of the types that are not billed by volume. */
const MODELS: ReadonlyMap<string, PricingModel> = new Map<string, PricingModel>([
  ['aws', awsModel],
  ['azure', azureModel],
  ['gcp', gcpModel],
]);

const STANDARD = {
  aws: AWS_STANDARD,
  azure: AZURE_STANDARD,
  gcp: GCP_STANDARD,
  mqtt: MQTT_STANDARD,
  https: HTTPS_STANDARD,
} as const;
const STANDARD_BY_TYPE = new Map<string, Tariff>(Object.entries(STANDARD));

/** The shipped sheet, for an account of one gateway. Throws for a type without one. */
export function standardTariff<Type extends keyof typeof STANDARD>(type: Type): (typeof STANDARD)[Type];
export function standardTariff(type: string): Tariff;
export function standardTariff(type: string): Tariff {
  const tariff = STANDARD_BY_TYPE.get(type);
  if (!tariff) throw new Error(`no prices ship for providers of type ${type}`);
  return tariff;
}

/** The known charges of a provider. */
export function tariffOf({ type, tariff }: { type: string; tariff?: Tariff }): Tariff {
  return tariff ?? standardTariff(type);
}

/** UTF-8 bytes of all keys and values: the vendors meter properties without their framing. */
export function propertyBytes(properties: object): number {
  let bytes = 0;
  for (const [key, value] of Object.entries(properties)) {
    if (typeof value === 'string') bytes += Buffer.byteLength(key) + Buffer.byteLength(value);
  }
  return bytes;
}

/** Units billed for one envelope. */
export function billedUnits(tariff: Tariff, sizes: EnvelopeSizes): number {
  return modelOf(tariff).billedUnits(tariff, sizes);
}

/**
 * Marginal cost in USD of one envelope after `usedThisMonth` units of the gateway, by tier and free
 * allotment.
 */
export function envelopeCostUsd(tariff: Tariff, sizes: EnvelopeSizes, usedThisMonth: number): number {
  const model = modelOf(tariff);
  return model.costUsd(tariff, model.billedUnits(tariff, sizes), sizes, usedThisMonth);
}

/** Units of the gateway that the provider accepts in one UTC day; null: without a limit. */
export function unitsPerDay(tariff: Tariff): number | null {
  return modelOf(tariff).unitsPerDay(tariff);
}

/** Fixed USD per month, independent of traffic: the units of a hub, the minutes of a connection. */
export function fixedUsdPerMonth(tariff: Tariff): number {
  return modelOf(tariff).fixedUsdPerMonth(tariff);
}

/** The unit in words. */
export function unitOf(tariff: Tariff): string {
  return modelOf(tariff).unit(tariff);
}

/** Whether the provider bills its own answers of 4xx and 5xx. */
export function metersErrors(tariff: Tariff): boolean {
  return modelOf(tariff).metersErrors(tariff);
}

function modelOf({ type }: Tariff): PricingModel {
  return MODELS.get(type) ?? volumeModel;
}
