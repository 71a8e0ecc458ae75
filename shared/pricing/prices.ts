/**
 * Price sheets: what each kind of provider charges, promises and holds, as dated data. Every figure names its
 * unit, its source, the date it was read and how sure we are. A price change is a change of data
 * (prices/*.json), not of code; an operator's own figures replace them one by one
 * (docs/explanation/costs.md).
 */
import { z } from 'zod';
import aws from './prices/aws.json' with { type: 'json' };
import azure from './prices/azure.json' with { type: 'json' };
import gcp from './prices/gcp.json' with { type: 'json' };
import https from './prices/https.json' with { type: 'json' };
import mqtt from './prices/mqtt.json' with { type: 'json' };

const provenance = {
  source: z.string().min(1),
  date: z.iso.date(),
  confidence: z.enum(['high', 'medium', 'low']),
};

const figure = z.strictObject({ value: z.number().nonnegative(), unit: z.string().min(1), ...provenance });
/** What is divided by. */
const positive = figure.extend({ value: z.number().positive() });

const common = {
  dated: z.iso.date(),
  message_max_bytes: figure,
  sla_percent: figure,
  certifications: z.array(z.strictObject({ name: z.string().min(1), ...provenance })),
  /**
   * Inputs of the reference form of the score; the latency is also what is expected before any was measured.
   */
  reference: z.strictObject({ monthly_cost_usd: figure, latency_ms: figure, throughput_mbps: figure }),
};

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

const awsSchema = z.strictObject({
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

const hubTier = z.strictObject({ usd_per_month: figure, messages_per_day: positive, meter_bytes: positive });

export const HUB_TIERS = ['F1', 'B1', 'B2', 'B3', 'S1', 'S2', 'S3'] as const;

const azureSchema = z.strictObject({
  type: z.literal('azure'),
  ...common,
  tiers: z.record(z.enum(HUB_TIERS), hubTier),
  egress_usd_per_gib: figure,
});

const gcpSchema = z.strictObject({
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

const mqttSchema = z.strictObject({ type: z.literal('mqtt'), ...common, usd_per_gib: figure });

const httpsSchema = mqttSchema.extend({ type: z.literal('https') });

export const priceSheetSchema = z.discriminatedUnion('type', [
  awsSchema,
  azureSchema,
  gcpSchema,
  mqttSchema,
  httpsSchema,
]);

export type PriceSheet = z.output<typeof priceSheetSchema>;

export interface PriceSheets {
  aws: z.output<typeof awsSchema>;
  azure: z.output<typeof azureSchema>;
  gcp: z.output<typeof gcpSchema>;
  mqtt: z.output<typeof mqttSchema>;
  https: z.output<typeof httpsSchema>;
}

/** The sheets that ship with this version. Throws at import when a data file does not fit the schema. */
export const PRICE_SHEETS: Readonly<PriceSheets> = {
  aws: awsSchema.parse(aws),
  azure: azureSchema.parse(azure),
  gcp: gcpSchema.parse(gcp),
  mqtt: mqttSchema.parse(mqtt),
  https: httpsSchema.parse(https),
};

const own = { type: true, dated: true } as const;

/**
 * An operator's sheet: `type`, `dated`, and the figures that differ from the sheet that ships, each as
 * complete as there. What comes out is the whole sheet.
 */
export const OWN_SHEET_SCHEMAS = {
  aws: awsSchema
    .partial()
    .required(own)
    .transform((figures) => awsSchema.parse({ ...PRICE_SHEETS.aws, ...figures })),
  azure: azureSchema
    .partial()
    .required(own)
    .transform((figures) => azureSchema.parse({ ...PRICE_SHEETS.azure, ...figures })),
  gcp: gcpSchema
    .partial()
    .required(own)
    .transform((figures) => gcpSchema.parse({ ...PRICE_SHEETS.gcp, ...figures })),
  mqtt: mqttSchema
    .partial()
    .required(own)
    .transform((figures) => mqttSchema.parse({ ...PRICE_SHEETS.mqtt, ...figures })),
  https: httpsSchema
    .partial()
    .required(own)
    .transform((figures) => httpsSchema.parse({ ...PRICE_SHEETS.https, ...figures })),
};
