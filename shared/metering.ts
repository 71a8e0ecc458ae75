/**
 * What a provider bills for one envelope. The agent counts before it pays, the loopback clouds count on their side by
 * the vendors' rules; the two must agree.
 */
import { PRICE_SHEETS, type PriceSheet, type PriceSheets } from './prices.ts';

export interface EnvelopeSizes {
  payloadBytes: number;
  topicBytes: number;
  /** See {@link propertyBytes}. */
  propertyBytes: number;
}

const PER_MILLION = 1e6;
const GIB = 2 ** 30;
const TIB = 2 ** 40;
/** IoT Hub's quota is per day, the used figure per month. */
const DAYS_PER_MONTH = 30;

/** UTF-8 bytes of all keys and values: the vendors meter properties without their framing. */
export function propertyBytes(properties: object): number {
  let bytes = 0;
  for (const [key, value] of Object.entries(properties)) {
    if (typeof value === 'string') bytes += Buffer.byteLength(key) + Buffer.byteLength(value);
  }
  return bytes;
}

/**
 * Units billed for one envelope: messages of 5 KB at AWS ("AWS IoT Core pricing", topic and user properties count),
 * messages of 4 KB at Azure ("IoT Hub pricing", properties count, the topic does not), bytes at Pub/Sub ("Pub/Sub
 * pricing", at least 1,000 per request), plain bytes at an MQTT broker.
 */
export function billedUnits(type: PriceSheet['type'], sizes: EnvelopeSizes): number {
  const { payloadBytes, topicBytes, propertyBytes: properties } = sizes;
  switch (type) {
    case 'aws': {
      const { meter_bytes } = PRICE_SHEETS.aws;
      return Math.max(1, Math.ceil((payloadBytes + topicBytes + properties) / meter_bytes.value));
    }
    case 'azure': {
      const { meter_bytes } = PRICE_SHEETS.azure;
      return Math.max(1, Math.ceil((payloadBytes + properties) / meter_bytes.value));
    }
    case 'gcp': {
      const { request_min_bytes, timestamp_bytes, message_id_bytes } = PRICE_SHEETS.gcp;
      const volume = payloadBytes + properties + timestamp_bytes.value + message_id_bytes.value;
      return Math.max(request_min_bytes.value, volume);
    }
    case 'mqtt':
      return payloadBytes + topicBytes + properties;
  }
}

/**
 * Marginal cost in USD of one envelope of `units`, when the billing account has already used `usedThisMonth` units:
 * the whole way into the router (AWS: message, rule, SQS; Pub/Sub: publish and delivery), by tier and free allotment.
 */
export function envelopeCostUsd(sheet: PriceSheet, units: number, usedThisMonth: number): number {
  switch (sheet.type) {
    case 'aws':
      return awsCostUsd(sheet, units, usedThisMonth);
    case 'azure':
      return azureCostUsd(sheet, units, usedThisMonth);
    case 'gcp':
      return gcpCostUsd(sheet, units, usedThisMonth);
    case 'mqtt':
      return (units * sheet.usd_per_gib.value) / GIB;
  }
}

function awsCostUsd(sheet: PriceSheets['aws'], units: number, used: number): number {
  let messagesUsd = 0;
  let tierStart = 0;
  for (const { up_to_messages, usd_per_million } of sheet.message_tiers) {
    const tierEnd = up_to_messages ?? Number.POSITIVE_INFINITY;
    messagesUsd += (overlap(used, used + units, tierStart, tierEnd) * usd_per_million.value) / PER_MILLION;
    tierStart = tierEnd;
  }
  const rulesUsd =
    (units * (sheet.rule_trigger_usd_per_million.value + sheet.rule_action_usd_per_million.value)) /
    PER_MILLION;
  const sqsChunks = Math.ceil((units * sheet.meter_bytes.value) / sheet.sqs_request_bytes.value);
  const sqsUsd =
    (sqsChunks * sheet.sqs_requests_per_message.value * sheet.sqs_usd_per_million.value) / PER_MILLION;
  return messagesUsd + rulesUsd + sqsUsd;
}

/** A hub unit is a fixed fee with a quota: nothing more to pay within it, the share of the next unit beyond it. */
function azureCostUsd(sheet: PriceSheets['azure'], units: number, used: number): number {
  const quota = sheet.unit_messages_per_day.value * DAYS_PER_MONTH;
  const beyond = overlap(used, used + units, quota, Number.POSITIVE_INFINITY);
  return (beyond * sheet.unit_usd_per_month.value) / quota;
}

/** Publish and delivery each count against the free allotment, so half of it is left for what is published. */
function gcpCostUsd(sheet: PriceSheets['gcp'], units: number, used: number): number {
  const freeBytes = (sheet.free_gib_per_month.value * GIB) / 2;
  const beyond = overlap(used, used + units, freeBytes, Number.POSITIVE_INFINITY);
  return (beyond * (sheet.publish_usd_per_tib.value + sheet.delivery_usd_per_tib.value)) / TIB;
}

/** Length of the part that [from, to) and [low, high) share. */
function overlap(from: number, to: number, low: number, high: number): number {
  return Math.max(0, Math.min(to, high) - Math.max(from, low));
}
