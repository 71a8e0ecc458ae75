/**
 * Streams that left the policy with records in the buffer: these drain under the last rules that their stream
 * had, among them its copies and its residency (I3, I4). Pure (I11).
 */
import type { Policy, StreamPolicy } from '../../shared/policy/policy.ts';

/** The rules of one stream, complete without the policy that they came from. */
export interface StreamRules {
  stream: StreamPolicy;
  /** The regions of its zone; null without a residency. */
  regions: readonly string[] | null;
}

/** By stream name. */
export type RulesByStream = ReadonlyMap<string, StreamRules>;

/** Every stream's rules under this policy. */
export function rulesOf({ streams, compliance }: Policy): RulesByStream {
  return new Map(
    Object.entries(streams).map(([name, stream]) => {
      const zone = stream.data_residency;
      return [name, { stream, regions: zone === undefined ? null : regionsOf(compliance, zone) }];
    }),
  );
}

/** The streams of `known` that the policy does not name. */
export function departed(known: RulesByStream, { streams }: Policy): RulesByStream {
  return new Map([...known].filter(([name]) => !Object.hasOwn(streams, name)));
}

/**
 * The policy with streams that drain after its own: they take no topic. Where their zone has another meaning
 * in the policy, they get a zone of their own, with the regions that they had. Certifications are those of
 * the policy, for all streams.
 */
export function withDraining(policy: Policy, draining: RulesByStream): Policy {
  if (draining.size === 0) return policy;
  const zones = { ...policy.compliance.data_residency };
  const streams = { ...policy.streams };
  for (const [name, { stream, regions }] of draining) {
    const zone = zoneFor(stream.data_residency, regions, zones, name);
    if (zone !== undefined && regions !== null) zones[zone] = [...regions];
    streams[name] = { ...stream, topics: [], data_residency: zone };
  }
  return { ...policy, streams, compliance: { ...policy.compliance, data_residency: zones } };
}

/** The stream's own zone where it still means the same, otherwise one that no policy can name. */
function zoneFor(
  zone: string | undefined,
  regions: readonly string[] | null,
  zones: Readonly<Record<string, readonly string[]>>,
  stream: string,
): string | undefined {
  if (zone === undefined || regions === null) return undefined;
  const present = Object.hasOwn(zones, zone) ? zones[zone] : undefined;
  const isSame = present?.length === regions.length && regions.every((region) => present.includes(region));
  return isSame ? zone : `${zone} (of ${stream})`;
}

/** A zone without regions is one that nobody serves: the stream waits. */
function regionsOf({ data_residency: zones }: Policy['compliance'], zone: string): readonly string[] {
  return Object.hasOwn(zones, zone) ? (zones[zone] ?? []) : [];
}
