/** What `/v1/status` says of each source. */
import type { RouterStatus } from '../../shared/admin-api/status.ts';
import type { Ingest } from '../ingest/ingest.ts';
import type { SourceAges } from './age.ts';
import type { Source } from './source.ts';

export interface SourceParts {
  sources: readonly Source[];
  ages: Pick<SourceAges, 'of'>;
  ingest: Pick<Ingest, 'counters'>;
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
