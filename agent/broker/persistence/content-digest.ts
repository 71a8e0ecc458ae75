/** Tells apart two publishes with the same packet id, by topic and payload. */
import { createHash } from 'node:crypto';

/** SHA-256 of topic and payload, in base64. */
export function contentDigest({ topic, payload }: { topic: string; payload: string | Uint8Array }): string {
  return createHash('sha256').update(`${topic}\0`).update(payload).digest('base64');
}
