/** The charges of AWS IoT Core, and of the rule and queue behind it. */
import { z } from 'zod';
import type { PricingModel } from './model.ts';
import aws from './prices/aws.json' with { type: 'json' };
import { common, figure, OWN, positive, priceList } from './sheet.ts';
import type { Tariff } from './tariff.ts';
import { beyond, DAYS_PER_MONTH, egressUsd, overlap, PER_MILLION, started } from './units.ts';

const messageTiers = z
  .array(z.strictObject({ up_to_messages: z.int().positive().nullable(), usd_per_million: figure }))
  .min(1)
  .refine(
    (tiers) =>
      tiers.every(({ up_to_messages: to }, i) => {
        const from = tiers[i - 1]?.up_to_messages ?? 0;
        return to === null ? i === tiers.length - 1 : to > from;
      }) && tiers.at(-1)?.up_to_messages === null,
    'the tiers must ascend, and the last one (no other) must have up_to_messages: null',
  );

const awsSheet = z.strictObject({
  type: z.literal('aws'),
  ...common,
  meter_bytes: positive,
  message_tiers: messageTiers,
  rule_trigger_usd_per_million: figure,
  rule_action_usd_per_million: figure,
  free_rule_executions_per_month: figure,
  connection_usd_per_million_minutes: figure,
  connection_minutes_per_day: figure,
  error_answers_metered: figure,
  sqs_usd_per_million: figure,
  sqs_free_requests_per_month: figure,
  sqs_request_bytes: positive,
  sqs_requests_per_message: figure,
  egress_usd_per_gib: figure,
});

export type AwsSheet = z.output<typeof awsSheet>;

export interface AwsTariff extends Tariff {
  readonly sheet: AwsSheet;
  /** Published to a rule's own topic, without a messaging charge. */
  readonly basicIngest: boolean;
}

export const awsPrices = priceList(awsSheet, awsSheet.partial().required(OWN), aws);

/** For an AWS account of one gateway, published by topic. */
export const AWS_STANDARD: AwsTariff = {
  type: 'aws',
  sheet: awsPrices.shipped,
  share: 1,
  basicIngest: false,
};

/**
 * Units are messages of 5 KB; topic and user properties count ("AWS IoT Core pricing"). The cost covers the
 * whole way into the router: message, rule, SQS.
 */
export const awsModel: PricingModel<AwsTariff> = {
  unit: () => '5 KB message',
  billedUnits: ({ sheet }, { payloadBytes, topicBytes, propertyBytes }) =>
    started(payloadBytes + topicBytes + propertyBytes, sheet.meter_bytes.value),
  costUsd: (tariff, units, sizes, used) => wayUsd(tariff, units, used) + egressUsd(tariff.sheet, sizes),
  unitsPerDay: () => null,
  fixedUsdPerMonth({ sheet }) {
    const { connection_usd_per_million_minutes: price, connection_minutes_per_day: minutes } = sheet;
    return (minutes.value * DAYS_PER_MONTH * price.value) / PER_MILLION;
  },
  metersErrors: ({ sheet }) => sheet.error_answers_metered.value > 0,
};

function wayUsd({ sheet, share, basicIngest }: AwsTariff, units: number, used: number): number {
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
 * Assumes that earlier usage was in envelopes of one unit each, which ends the free requests rather too
 * early.
 */
function sqsUsd(sheet: AwsSheet, share: number, units: number, used: number): number {
  const chunks = Math.ceil((units * sheet.meter_bytes.value) / sheet.sqs_request_bytes.value);
  const perMessage = sheet.sqs_requests_per_message.value;
  const paid = beyond(
    used * perMessage,
    chunks * perMessage,
    sheet.sqs_free_requests_per_month.value * share,
  );
  return (paid * sheet.sqs_usd_per_million.value) / PER_MILLION;
}
