/**
 * The figures of a price sheet. Every figure names its unit, its source, the date it was read and how sure we
 * are. A price change is a change of data (prices/*.json), not of code; an operator's own figures replace
 * them one by one (docs/explanation/costs.md).
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
/** A divisor. */
export const positive = figure.extend({ value: z.number().positive() });

/** In the sheet of every type. */
export const common = {
  dated: z.iso.date(),
  message_max_bytes: figure,
  sla_percent: figure,
  certifications: z.array(z.strictObject({ name: z.string().min(1), ...provenance })),
  /**
   * Inputs of the reference form of the score; the latency is also what is expected before any was measured.
   */
  reference: z.strictObject({ monthly_cost_usd: figure, latency_ms: figure, throughput_mbps: figure }),
};

const sheetBasics = z.object({ type: z.string(), ...common });

/** What the sheets of all types have. */
export type SheetBasics = z.output<typeof sheetBasics>;

/** The prices of one type of provider. */
export interface PriceList<Sheet extends SheetBasics = SheetBasics> {
  /** The sheet that ships with this version. */
  readonly shipped: Sheet;
  /**
   * An operator's sheet: `type`, `dated`, and the figures that differ from the sheet that ships, each as
   * complete as there. It reads as the whole sheet.
   */
  readonly own: z.ZodType<Sheet>;
}

/** Each own sheet names its type and its date. */
export const OWN = { type: true, dated: true } as const;

/** `figures`: `schema` with all optional but {@link OWN}. Throws when the data that ship do not fit. */
export function priceList<Sheet extends SheetBasics>(
  schema: z.ZodType<Sheet>,
  figures: z.ZodType<object>,
  data: unknown,
): PriceList<Sheet> {
  const shipped = schema.parse(data);
  return { shipped, own: figures.transform((given) => schema.parse({ ...shipped, ...given })) };
}
