/** `headgate clouds status`. */
import { z } from 'zod';
import { bytesText, countText, table } from '../format.ts';

const answerSchema = z.array(
  z.object({
    name: z.string(),
    fault: z.object({ name: z.string() }).nullable(),
    meter: z.object({
      accepted: z.number(),
      units: z.number(),
      bytes: z.number(),
      requests: z.number(),
      delivered: z.number(),
      settled: z.number(),
    }),
  }),
);

/** Throws on a body that the control server of this version does not send. */
export function renderClouds(body: unknown): string {
  return table(
    ['CLOUD', 'FAULT', 'ACCEPTED', 'UNITS', 'PAYLOAD', 'REQUESTS', 'DELIVERED', 'SETTLED'],
    answerSchema
      .parse(body)
      .map(({ name, fault, meter }) => [
        name,
        fault?.name ?? 'none',
        countText(meter.accepted),
        countText(meter.units),
        bytesText(meter.bytes),
        countText(meter.requests),
        countText(meter.delivered),
        countText(meter.settled),
      ]),
  );
}
