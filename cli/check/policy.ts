/** A policy that is valid, and by which something never leaves or never arrives. */
import { certificationHint } from '../../shared/policy/known-names.ts';
import { filterCovers, topicFilterProblem } from '../../shared/policy/topic-filter.ts';
import { type Finding, mapping, texts } from './finding.ts';

/** Misspelt certifications, and streams that an earlier one takes everything from. */
export function policyFindings(policy: unknown): Finding[] {
  return [...certificationFindings(policy), ...shadowedStreams(policy)];
}

function certificationFindings(policy: unknown): Finding[] {
  const compliance = mapping(mapping(policy)['compliance']);
  const own = texts(compliance['own_certifications']);
  return texts(compliance['required_certifications']).flatMap((name, index): Finding[] => {
    const hint = certificationHint(name, own);
    if (hint === null) return [];
    const path = ['compliance', 'required_certifications', index];
    return [{ path, message: 'no certification that is known: no provider would be eligible', hint }];
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
