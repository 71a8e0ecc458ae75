/** A position in a partition, as the checkpoint store keeps it. */
import { z } from 'zod';

export const position = z.object({
  /**
   * When the event hub was created, Unix ms. A recreated hub counts from the start again, so positions of the
   * old one are void.
   */
  createdMs: z.number(),
  sequenceNumber: z.number(),
  /** The service resumes from this offset; text, because with geo-replication it is no longer a number. */
  offset: z.string(),
});

export type Position = z.infer<typeof position>;

/** Parses a position in the format of earlier versions, one per partition; null for other text. */
export function parsePosition(text: string): Position | null {
  try {
    return position.parse(JSON.parse(text));
  } catch {
    return null;
  }
}
