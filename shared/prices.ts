/**
 * Price sheets: what each kind of provider charges, promises and holds, as dated data. Every figure names its unit, its
 * source, the date it was read and how sure we are. A price change is a change of data (prices/*.json), not of code.
 */
import { z } from 'zod';
import aws from './prices/aws.json' with { type: 'json' };
import azure from './prices/azure.json' with { type: 'json' };
import gcp from './prices/gcp.json' with { type: 'json' };
import mqtt from './prices/mqtt.json' with { type: 'json' };

const provenance = {
  source: z.string().min(1),
  date: z.iso.date(),
  confidence: z.enum(['high', 'medium', 'low']),
};

const figure = z.strictObject({ value: z.number().nonnegative(), unit: z.string().min(1), ...provenance });

const common = {
  dated: z.iso.date(),
  message_max_bytes: figure,
  sla_percent: figure,
  certifications: z.array(z.strictObject({ name: z.string().min(1), ...provenance })),
  /** Inputs of the reference form of the score; the latency is also what is expected before any was measured. */
  reference: z.strictObject({ monthly_cost_usd: figure, latency_ms: figure, throughput_mbps: figure }),
};

const awsSchema = z.strictObject({
  type: z.literal('aws'),
  ...common,
  meter_bytes: figure,
  message_tiers: z
    .array(z.strictObject({ up_to_messages: z.int().positive().nullable(), usd_per_million: figure }))
    .min(1),
  rule_trigger_usd_per_million: figure,
  rule_action_usd_per_million: figure,
  sqs_usd_per_million: figure,
  sqs_request_bytes: figure,
  sqs_requests_per_message: figure,
});

const azureSchema = z.strictObject({
  type: z.literal('azure'),
  ...common,
  meter_bytes: figure,
  unit_usd_per_month: figure,
  unit_messages_per_day: figure,
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
});

const mqttSchema = z.strictObject({ type: z.literal('mqtt'), ...common, usd_per_gib: figure });

export const priceSheetSchema = z.discriminatedUnion('type', [awsSchema, azureSchema, gcpSchema, mqttSchema]);

export type PriceSheet = z.output<typeof priceSheetSchema>;

export interface PriceSheets {
  aws: z.output<typeof awsSchema>;
  azure: z.output<typeof azureSchema>;
  gcp: z.output<typeof gcpSchema>;
  mqtt: z.output<typeof mqttSchema>;
}

/** The sheets that ship with this version. Throws at import when a data file does not fit the schema. */
export const PRICE_SHEETS: Readonly<PriceSheets> = {
  aws: awsSchema.parse(aws),
  azure: azureSchema.parse(azure),
  gcp: gcpSchema.parse(gcp),
  mqtt: mqttSchema.parse(mqtt),
};
