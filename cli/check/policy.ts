/** Finds streams of a valid policy that can never send or receive records. */
import type { ProviderType } from '../../agent/providers/provider-type.ts';
import { PROVIDER_TYPES } from '../../agent/providers/types.ts';
import { nearest } from '../../shared/config/nearest.ts';
import { certificationHint } from '../../shared/policy/known-names.ts';
import { filterCovers, topicFilterProblem } from '../../shared/policy/topic-filter.ts';
import { type Finding, mapping, texts } from './finding.ts';

/**
 * Misspelt certifications and regions, and streams whose topics an earlier stream takes. `regions`: the known
 * regions of the configured providers.
 */
export function policyFindings(policy: unknown, regions: readonly string[] = []): Finding[] {
  return [...certificationFindings(policy), ...zoneFindings(policy, regions), ...shadowedStreams(policy)];
}

const TYPES: readonly ProviderType[] = PROVIDER_TYPES;
const KNOWN_REGIONS = TYPES.flatMap(({ regions = [] }) => regions);

/** Regions of zones that resemble a known region: a provider there would get no record. */
function zoneFindings(policy: unknown, configured: readonly string[]): Finding[] {
  const { own_regions, data_residency } = mapping(mapping(policy)['compliance']);
  const right = [...KNOWN_REGIONS, ...configured, ...texts(own_regions)];
  return Object.entries(mapping(data_residency)).flatMap(([zone, regions]) =>
    texts(regions).flatMap((region, index): Finding[] => {
      const guess = right.includes(region) ? null : nearest(region, KNOWN_REGIONS);
      if (guess === null) return [];
      const path = ['compliance', 'data_residency', zone, index];
      const hint = `did you mean "${guess}"? if it is right, name it in compliance.own_regions`;
      return [{ path, message: 'not a known region: providers there would get no records', hint }];
    }),
  );
}

function certificationFindings(policy: unknown): Finding[] {
  const compliance = mapping(mapping(policy)['compliance']);
  const own = texts(compliance['own_certifications']);
  return texts(compliance['required_certifications']).flatMap((name, index): Finding[] => {
    const hint = certificationHint(name, own);
    if (hint === null) return [];
    const path = ['compliance', 'required_certifications', index];
    return [{ path, message: 'not a known certification: no provider would be eligible', hint }];
  });
}

/** The first stream with a matching filter takes a publish. */
function shadowedStreams(policy: unknown): Finding[] {
  const streams = Object.entries(mapping(mapping(policy)['streams'])).map(([name, stream]) => ({
    name,
    topics: texts(mapping(stream)['topics']).filter((filter) => topicFilterProblem(filter) === null),
  }));
  return streams.flatMap(({ name, topics }, index): Finding[] => {
    const earlier = streams.slice(0, index);
    const takers = topics.map((filter) =>
      earlier.find((other) => other.topics.some((wider) => filterCovers(wider, filter))),
    );
    const [first] = takers;
    if (first === undefined || takers.includes(undefined)) return [];
    const message = `never gets a publish: "${first.name}" stands before it and takes the same topics`;
    const hint = `move it before "${first.name}", or narrow the topics of that one`;
    return [{ path: ['streams', name], message, hint }];
  });
}
