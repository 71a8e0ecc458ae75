/**
 * What the history's lines say. `m` is monotonic milliseconds since the boot that the `clock` line before names (I7): wall time is
 * found when the line is read, by the best that was ever known of that boot. Keys are short because the files live on SD cards;
 * unknown lines and keys are passed over, so that an older program reads a newer file.
 */
import { z } from 'zod';

const mono = z.number();
const name = z.string();
/** `[first, last, first, last, …]`. */
const ranges = z.array(z.int().positive());

/** How monotonic time of this boot maps to wall time: wall = m + off. Holds for the lines behind it too, unless one knows better. */
const clockLine = z.object({
  k: z.literal('clock'),
  boot: z.string(),
  off: z.number(),
  q: z.enum(['synchronised', 'unsynchronised']),
});

/** A provider accepted these records between `m` and `m + d`. */
const tookLine = z.object({
  k: z.literal('took'),
  m: mono,
  d: z.number(),
  ep: name,
  s: name,
  p: name,
  r: ranges,
});

/** The buffer gave these records up. */
const gaveUpLine = z.object({
  k: z.literal('gave-up'),
  m: mono,
  d: z.number(),
  ep: name,
  s: name,
  why: z.enum(['quota', 'age', 'corruption']),
  r: ranges,
});

const lineSchema = z.discriminatedUnion('k', [clockLine, tookLine, gaveUpLine]);

export type Line = z.output<typeof lineSchema>;
export type LineOf<Kind extends Line['k']> = Extract<Line, { k: Kind }>;

/** Null for a line that a crash has cut short, that is damaged, or of a kind that this program does not know. */
export function parseLine(text: string): Line | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null; // Cut short.
  }
  const parsed = lineSchema.safeParse(value);
  return parsed.success ? parsed.data : null;
}
