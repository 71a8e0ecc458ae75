/** `holds.json` in the data folder, and the validation of holds from outside. */
import { z } from 'zod';
import { duration } from '../../shared/config/kinds.ts';
import { readStateFile, type StateFileRead, writeStateFile } from '../runtime/state-file.ts';
import type { ManualHold } from './hold.ts';

const REASON_CHARS_MAX = 200;
const YEAR_MS = 366 * 86_400_000;

const holdReason = z
  .string()
  .min(1)
  .max(REASON_CHARS_MAX)
  .regex(/^\P{Cc}+$/u, 'expected text on one line');

/** Body of `PUT /v1/holds`. */
export const holdRequest = z.strictObject({
  provider: z.string(),
  reason: holdReason.default('by hand'),
  for: duration()
    .refine((ms) => ms >= 1000 && ms <= YEAR_MS, 'expected 1s to 366d')
    .optional(),
});

const moment = z.strictObject({
  bootId: z.string(),
  monoMs: z.number(),
  wallMs: z.number(),
  synchronised: z.boolean(),
});

const fileSchema = z.strictObject({
  version: z.literal(1),
  holds: z
    .array(
      z.strictObject({
        provider: z.string(),
        reason: holdReason,
        since: moment,
        forMs: z.number().positive().nullable(),
      }),
    )
    .max(1000),
});

/** Stores the holds over restarts. */
export interface HoldFile {
  /** Never rejects. */
  read(): Promise<StateFileRead<{ holds: readonly ManualHold[] }>>;
  /** Rejects when the disk refuses the write; the old file then remains. */
  write(holds: readonly ManualHold[]): Promise<void>;
}

export function holdFile(path: string, gateway: string | null = null): HoldFile {
  return {
    read: () => readStateFile(path, fileSchema, gateway),
    write: (holds) => writeStateFile(path, { version: 1, holds }, gateway),
  };
}
