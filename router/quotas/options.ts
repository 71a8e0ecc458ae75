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
}

const rate = (): z.ZodInt => z.int().min(0);
const envelopes = rate().describe('Most envelopes a second, with a burst of ten seconds. 0: no quota.');
const bytes = byteSize().describe(
  'Most bytes of envelopes a second, as they come, with a burst of ten seconds. 0B: no quota.',
);
const streams = rate().describe(
  'Most new streams a day; each start of an agent begins all of its streams anew. 0: no quota.',
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
  })
  .describe('Other quotas for some gateways; an absent one is as for all.');

export const quotaOptions = z
  .strictObject({
    envelopes_per_second: envelopes.default(1000),
    bytes_per_second: bytes.default(16 * MIB),
    new_streams_per_day: streams.default(1000),
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
    },
  };
}
