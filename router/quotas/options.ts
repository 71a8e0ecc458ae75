/** `quotas` of router.yaml: what one gateway may send through one source. */
import { z } from 'zod';
import { byteSize } from '../../shared/config/kinds.ts';
import { matchesPattern } from '../ledger/rules/stream-pattern.ts';

const MIB = 1024 * 1024;

/** Per gateway and source; 0: no quota. */
export interface GatewayQuotas {
  envelopesPerSecond: number;
  /** As they come, compressed. */
  bytesPerSecond: number;
  /** Each start of an agent begins an epoch, and so a new one for each of its streams. */
  newStreamsPerDay: number;
  /** Unpacked, with devices, topics and overhead. */
  storedBytesPerDay: number;
  /** Separate ranges of ids in one stream. */
  rangesPerStream: number;
}

const rate = (): z.ZodInt => z.int().min(0);
const envelopes = rate().describe('Most envelopes a second, with a burst of ten seconds. 0: no quota.');
const bytes = byteSize().describe(
  'Most bytes of envelopes a second, as they come, with a burst of ten seconds. 0B: no quota.',
);
const streams = rate().describe(
  'Most new streams a day; each start of an agent begins all of its streams anew. 0: no quota.',
);
const stored = byteSize().describe(
  'Most bytes of records a day, unpacked, with devices, topics and 48 bytes a record and 80 an envelope, repeats too. 0B: no quota.',
);
const ranges = rate().describe(
  'Most separate ranges of ids in one stream; an envelope beyond is a dead letter until holes are filled. 0: no quota but the ledger’s own bound of 100,000.',
);
const letters = rate().describe(
  'Most dead letters that are kept of a gateway at a source; beyond, its own oldest leave. 0: no quota.',
);
const letterBytes = byteSize().describe(
  'Most bytes of these dead letters, with names, keys and overhead. 0B: no quota.',
);
const versions = rate().describe(
  'Most versions in conflict that are kept aside of a gateway at a source; beyond, its own oldest leave. 0: no quota.',
);
const versionBytes = byteSize().describe(
  'Most bytes of these versions, with names, keys and overhead. 0B: no quota.',
);

const group = z
  .strictObject({
    name: z.string().min(1).max(64).describe('Name in status and logs.'),
    gateways: z
      .array(
        z
          .string()
          .regex(/^[a-z0-9_*-]{1,64}$/, 'expected the name of a gateway; * stands for any characters'),
      )
      .min(1)
      .describe('Names of the gateways; * stands for any characters.'),
    envelopes_per_second: envelopes.optional(),
    bytes_per_second: bytes.optional(),
    new_streams_per_day: streams.optional(),
    stored_bytes_per_day: stored.optional(),
    ranges_per_stream: ranges.optional(),
    dead_letters: letters.optional(),
    dead_letter_bytes: letterBytes.optional(),
    conflicts: versions.optional(),
    conflict_bytes: versionBytes.optional(),
  })
  .describe('Other quotas for some gateways; an absent one is as for all.');

export const quotaOptions = z
  .strictObject({
    envelopes_per_second: envelopes.default(1000),
    bytes_per_second: bytes.default(16 * MIB),
    new_streams_per_day: streams.default(1000),
    stored_bytes_per_day: stored.default(1024 * 1024 * MIB),
    ranges_per_stream: ranges.default(10_000),
    dead_letters: letters.default(10_000),
    dead_letter_bytes: letterBytes.default(16 * MIB),
    conflicts: versions.default(10_000),
    conflict_bytes: versionBytes.default(16 * MIB),
    groups: z.array(group).default([]).describe('The first group with the gateway counts.'),
  })
  .describe('What each gateway may send through each source; beyond, its envelopes wait or are kept aside.');

export type QuotaOptions = z.output<typeof quotaOptions>;

/** The name of the group of gateways without one. */
const NO_GROUP = 'default';

/** A gateway's quotas and the name of its group. */
export function quotasOf(options: QuotaOptions, gateway: string): { group: string; quotas: GatewayQuotas } {
  const own = options.groups.find(({ gateways }) => gateways.some((name) => matchesPattern(name, gateway)));
  return {
    group: own?.name ?? NO_GROUP,
    quotas: {
      envelopesPerSecond: own?.envelopes_per_second ?? options.envelopes_per_second,
      bytesPerSecond: own?.bytes_per_second ?? options.bytes_per_second,
      newStreamsPerDay: own?.new_streams_per_day ?? options.new_streams_per_day,
      storedBytesPerDay: own?.stored_bytes_per_day ?? options.stored_bytes_per_day,
      rangesPerStream: own?.ranges_per_stream ?? options.ranges_per_stream,
    },
  };
}
