/** A place in a partition, as it is kept in the checkpoint store. */
import { z } from 'zod';

export const position = z.object({
  /**
   * When the event hub was made, Unix ms. A hub that was made anew counts from the start again: old places
   * mean nothing in it.
   */
  createdMs: z.number(),
  sequenceNumber: z.number(),
  /** What the service resumes by; text, because with geo-replication it is no longer a number. */
  offset: z.string(),
});

export type Position = z.infer<typeof position>;

/** As an earlier Headgate kept it, apart; null for text that is not a position. */
export function parsePosition(text: string): Position | null {
  try {
    return position.parse(JSON.parse(text));
  } catch {
    return null;
  }
}
