/** What tells one publish from another under the same packet id: its topic and its payload. */
import { createHash } from 'node:crypto';

/** SHA-256 of topic and payload, in base64. */
export function contentDigest({ topic, payload }: { topic: string; payload: string | Uint8Array }): string {
  return createHash('sha256').update(`${topic}\0`).update(payload).digest('base64');
}
