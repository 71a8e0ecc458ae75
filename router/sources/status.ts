/** The part of `/v1/status` about each source. */
import type { RouterStatus } from '../../shared/admin-api/status.ts';
import type { SourceAges } from './age.ts';
import type { Source } from './source.ts';

export interface SourceParts {
  sources: readonly Source[];
  ages: Pick<SourceAges, 'of'>;
  /** By source: why it brought records again. */
  ingest: {
    counters(): ReadonlyMap<string, { duplicateCauses: RouterStatus['sources'][number]['duplicates'] }>;
  };
}

export function sourceStatuses({ sources, ages, ingest }: SourceParts): RouterStatus['sources'] {
  const counters = ingest.counters();
  return sources.map((source) => ({
    name: source.name,
    type: source.type,
    ...source.state(),
    ...ages.of(source.name),
    duplicates: counters.get(source.name)?.duplicateCauses ?? {},
  }));
}

/** Why no source is connected, for `/readyz`; null while at least one is. */
export function noneConnected(sources: readonly Source[]): string | null {
  const states = sources.map((source) => ({ name: source.name, ...source.state() }));
  if (states.some(({ connected }) => connected)) return null;
  return states.map(({ name, lastError }) => `${name}: ${lastError ?? 'not connected yet'}`).join('; ');
}
