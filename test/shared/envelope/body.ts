/** The body of an encoded envelope, for tests of its form. */
import { encodeEnvelope } from '../../../shared/envelope/codec.ts';
import type { Envelope } from '../../../shared/envelope/envelope.ts';
import { openFrame } from '../../../shared/envelope/frame.ts';
import { decompress } from '../../../shared/zstd.ts';

const BODY_BYTES_MAX = 64 * 1024 * 1024;

export function encodeBody(envelope: Envelope): Buffer {
  const { isCompressed, content } = openFrame(encodeEnvelope(envelope));
  return isCompressed ? decompress(content, BODY_BYTES_MAX) : Buffer.from(content);
}
