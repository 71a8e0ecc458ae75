/**
 * What a provider bills for one envelope. The agent counts before it pays, the loopback clouds count on their
 * side by the vendors' rules; the two must agree.
 */
import { hubTierOf, type Tariff } from './tariff.ts';

export interface EnvelopeSizes {
  payloadBytes: number;
  topicBytes: number;
  /** See {@link propertyBytes}. */
  propertyBytes: number;
}

type TariffOf<Type extends Tariff['type']> = Extract<Tariff, { type: Type }>;

const PER_MILLION = 1e6;
const GIB = 2 ** 30;
const TIB = 2 ** 40;

/** UTF-8 bytes of all keys and values: the vendors meter properties without their framing. */
export function propertyBytes(properties: object): number {
  let bytes = 0;
  for (const [key, value] of Object.entries(properties)) {
    if (typeof value === 'string') bytes += Buffer.byteLength(key) + Buffer.byteLength(value);
  }
  return bytes;
}

/**
 * Units billed for one envelope: messages of 5 KB at AWS ("AWS IoT Core pricing", topic and user properties
 * count), messages of 4 KB at Azure, 0.5 KB in the free tier ("IoT Hub pricing", properties count, the topic
 * does not), bytes at Pub/Sub ("Pub/Sub pricing", attributes count, at least 1,000 per request), plain bytes
 * at an MQTT broker and at a router of one's own.
 */
export function billedUnits(tariff: Tariff, sizes: EnvelopeSizes): number {
  const { payloadBytes, topicBytes, propertyBytes: properties } = sizes;
  switch (tariff.type) {
    case 'aws':
      return started(payloadBytes + topicBytes + properties, tariff.sheet.meter_bytes.value);
    case 'azure':
      return started(payloadBytes + properties, hubTierOf(tariff).meter_bytes.value);
    case 'gcp': {
      const { request_min_bytes, timestamp_bytes, message_id_bytes } = tariff.sheet;
      const volume = payloadBytes + properties + timestamp_bytes.value + message_id_bytes.value;
      return Math.max(request_min_bytes.value, volume);
    }
    case 'mqtt':
    case 'https':
      return payloadBytes + topicBytes + properties;
  }
}

/**
 * Marginal cost in USD of one envelope, when the gateway has already used `usedThisMonth` units: the whole
 * way into the router (AWS: message, rule, SQS; Pub/Sub: publish and delivery), by tier and free allotment.
 * An IoT Hub costs nothing more within its quota, and takes nothing beyond it.
 */
export function envelopeCostUsd(tariff: Tariff, sizes: EnvelopeSizes, usedThisMonth: number): number {
  const units = billedUnits(tariff, sizes);
  switch (tariff.type) {
    case 'aws':
      return awsCostUsd(tariff, units, usedThisMonth) + egressUsd(tariff.sheet, sizes);
    case 'azure':
      return egressUsd(tariff.sheet, sizes);
    case 'gcp':
      return gcpCostUsd(tariff, units, usedThisMonth) + egressUsd(tariff.sheet, sizes);
    case 'mqtt':
    case 'https':
      return (units * tariff.sheet.usd_per_gib.value) / GIB;
  }
}

function awsCostUsd({ sheet, share, basicIngest }: TariffOf<'aws'>, units: number, used: number): number {
  let messagesUsd = 0;
  let tierStart = 0;
  for (const { up_to_messages, usd_per_million } of basicIngest ? [] : sheet.message_tiers) {
    const tierEnd = up_to_messages === null ? Number.POSITIVE_INFINITY : up_to_messages * share;
    messagesUsd += (overlap(used, used + units, tierStart, tierEnd) * usd_per_million.value) / PER_MILLION;
    tierStart = tierEnd;
  }
  const executions = beyond(used, units, sheet.free_rule_executions_per_month.value * share);
  const rulesUsd =
    (executions * (sheet.rule_trigger_usd_per_million.value + sheet.rule_action_usd_per_million.value)) /
    PER_MILLION;
  return messagesUsd + rulesUsd + sqsUsd(sheet, share, units, used);
}

/**
 * What was used before is taken as envelopes of one unit each, which ends the free requests rather too soon.
 */
function sqsUsd(sheet: TariffOf<'aws'>['sheet'], share: number, units: number, used: number): number {
  const chunks = Math.ceil((units * sheet.meter_bytes.value) / sheet.sqs_request_bytes.value);
  const perMessage = sheet.sqs_requests_per_message.value;
  const paid = beyond(
    used * perMessage,
    chunks * perMessage,
    sheet.sqs_free_requests_per_month.value * share,
  );
  return (paid * sheet.sqs_usd_per_million.value) / PER_MILLION;
}

/**
 * Publish and delivery each count against the free allotment, so half of it is left for what is published.
 */
function gcpCostUsd({ sheet, share }: TariffOf<'gcp'>, units: number, used: number): number {
  const paid = beyond(used, units, (sheet.free_gib_per_month.value * share * GIB) / 2);
  return (paid * (sheet.publish_usd_per_tib.value + sheet.delivery_usd_per_tib.value)) / TIB;
}

function egressUsd(sheet: { egress_usd_per_gib: { value: number } }, sizes: EnvelopeSizes): number {
  return ((sizes.payloadBytes + sizes.propertyBytes) * sheet.egress_usd_per_gib.value) / GIB;
}

/** Whole units of `unitBytes` that are begun; at least one. */
function started(bytes: number, unitBytes: number): number {
  return Math.max(1, Math.ceil(bytes / unitBytes));
}

/** The part of `amount`, after `used`, that the free allotment no longer covers. */
function beyond(used: number, amount: number, free: number): number {
  return Math.min(amount, Math.max(0, used + amount - free));
}

/** Length of the part that [from, to) and [low, high) share. */
function overlap(from: number, to: number, low: number, high: number): number {
  return Math.max(0, Math.min(to, high) - Math.max(from, low));
}
