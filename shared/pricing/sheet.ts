/**
 * The figures of a price sheet. Every figure has its unit, source, date of reading and certainty. A price
 * change is a change of data (prices/*.json), not of code; an operator's own figures replace single ones
 * (docs/explanation/costs.md).
 */
import { z } from 'zod';

const provenance = {
  source: z.string().min(1),
  date: z.iso.date(),
  confidence: z.enum(['high', 'medium', 'low']),
};

export const figure = z.strictObject({
  value: z.number().nonnegative(),
  unit: z.string().min(1),
  ...provenance,
});
/** A figure used as a divisor. */
export const positive = figure.extend({ value: z.number().positive() });

/** Common fields of all sheets. */
export const common = {
  dated: z.iso.date(),
  message_max_bytes: figure,
  sla_percent: figure,
  certifications: z.array(z.strictObject({ name: z.string().min(1), ...provenance })),
  /** Inputs of the reference form of the score; the latency is also the prior before any measurement. */
  reference: z.strictObject({ monthly_cost_usd: figure, latency_ms: figure, throughput_mbps: figure }),
};

const sheetBasics = z.object({ type: z.string(), ...common });

/** The common fields of all types' sheets. */
export type SheetBasics = z.output<typeof sheetBasics>;

/** The prices of one type of provider. */
export interface PriceList<Sheet extends SheetBasics = SheetBasics> {
  /** The sheet shipped with this version. */
  readonly shipped: Sheet;
  /**
   * An operator's sheet: `type`, `dated`, and the figures that differ from the shipped sheet, each complete.
   * It parses to a whole sheet.
   */
  readonly own: z.ZodType<Sheet>;
}

/** Required fields of an own sheet: its type and its date. */
export const OWN = { type: true, dated: true } as const;

/**
 * `figures`: `schema` with all fields optional except {@link OWN}. Throws when the shipped data do not fit.
 */
export function priceList<Sheet extends SheetBasics>(
  schema: z.ZodType<Sheet>,
  figures: z.ZodType<object>,
  data: unknown,
): PriceList<Sheet> {
  const shipped = schema.parse(data);
  return { shipped, own: figures.transform((given) => schema.parse({ ...shipped, ...given })) };
}
