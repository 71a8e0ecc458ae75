/** `envelopes` of router.yaml: what one envelope may hold. */
import { z } from 'zod';
import { byteSize } from '../../shared/config/kinds.ts';
import { ENVELOPE_LIMITS, type EnvelopeLimits, FORMAT_LIMITS } from '../../shared/envelope/limits.ts';
import { UNVERIFIED_JUMP_MAX } from '../ledger/rules/proof.ts';

export const envelopeOptions = z
  .strictObject({
    max_unpacked_bytes: byteSize()
      .refine((bytes) => bytes <= FORMAT_LIMITS.bodyBytes, 'expected at most 64 MiB')
      .default(ENVELOPE_LIMITS.bodyBytes)
      .describe('Most bytes of an envelope without its compression, at most 64 MiB.'),
    max_expansion: z
      .int()
      .min(1)
      .default(ENVELOPE_LIMITS.expansion)
      .describe('Most bytes that one compressed byte may become; 4 MiB in any case.'),
    max_records: z
      .int()
      .min(1)
      .max(FORMAT_LIMITS.records)
      .default(ENVELOPE_LIMITS.records)
      .describe('Most records, and most gaps, of one envelope. An agent sends at most 5,000.'),
    max_text_bytes: byteSize()
      .refine((bytes) => bytes <= FORMAT_LIMITS.textBytes, 'expected at most 65,535 bytes, as in MQTT')
      .default(ENVELOPE_LIMITS.textBytes)
      .describe('Longest topic or client id, in UTF-8 bytes. Not below max_topic_bytes of the agents.'),
    max_payload_bytes: byteSize()
      .default(ENVELOPE_LIMITS.payloadBytes)
      .describe('Largest payload of a record. Not below max_packet_bytes of the agents.'),
    max_unverified_jump: z
      .int()
      .min(1)
      .default(UNVERIFIED_JUMP_MAX)
      .describe(
        'Most ids that an envelope without a verified signature may jump ahead of the highest of its stream, or give up at once; beyond, it is a dead letter with the reason implausible.',
      ),
  })
  .describe('What one envelope may hold; beyond, it is kept as a dead letter with the reason limit.');

export function envelopeLimits(options: z.output<typeof envelopeOptions>): EnvelopeLimits {
  return {
    bodyBytes: options.max_unpacked_bytes,
    expansion: options.max_expansion,
    records: options.max_records,
    textBytes: options.max_text_bytes,
    payloadBytes: options.max_payload_bytes,
  };
}
