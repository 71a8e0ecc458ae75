/** `headgate ledger where` and `headgate ledger erasures`. */
import type { LedgerToolConfig } from '../../router/config.ts';
import type { Erasure } from '../../router/ledger/types.ts';
import type { Sighting, Whereabouts } from '../../router/ledger/whereabouts.ts';
import { isoTime } from '../../shared/clock.ts';
import { line, table } from '../format.ts';

/** `sources`: those of router.yaml, for the type and region of each sighting. */
export function renderWhereabouts(
  { state, offset, first, again, aside }: Whereabouts,
  sources: LedgerToolConfig['sources'],
): string {
  const row = ({ source, receivedWallMs }: Sighting, how: string): string[] => {
    const known = sources.find(({ name }) => name === source);
    const region = known?.region ?? '–';
    return [how, source, known?.type ?? '–', region, isoTime(receivedWallMs)];
  };
  const rows = [
    ...(first ? [row(first, 'stands')] : []),
    ...again.map((sighting) => row(sighting, sighting.cause)),
    ...aside.map((sighting) => row(sighting, 'kept aside')),
  ];
  const head = line(`${state}${offset === null ? '' : ` at offset ${offset}`}`);
  return rows.length === 0
    ? head
    : `${head}\n\n${table(['HOW', 'SOURCE', 'TYPE', 'REGION', 'RECEIVED'], rows)}`;
}

export function renderErasures(found: readonly Erasure[]): string {
  return table(
    ['STARTED', 'FINISHED', 'BY', 'GATEWAY', 'DEVICE', 'RECORDS', 'VERSIONS', 'DEAD LETTERS'],
    found.map((erasure) => [
      isoTime(erasure.startedWallMs),
      erasure.finishedWallMs === null ? 'not finished' : isoTime(erasure.finishedWallMs),
      erasure.actor,
      erasure.gateway ?? 'all',
      erasure.device,
      String(erasure.records),
      String(erasure.versions),
      String(erasure.deadLetters),
    ]),
  );
}
