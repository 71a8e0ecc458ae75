/** `headgate status --router`. */

import type { FleetSummary, RouterStatus, StreamCompletenessStatus } from '../../shared/admin-api/status.ts';
import { isoTime } from '../../shared/clock.ts';
import { bytesText, countText, line, spanText, table } from '../format.ts';

const RANGES_SHOWN = 3;
const HOLDERS_SHOWN = 5;
const STREAM_HEADINGS = ['GATEWAY', 'EPOCH', 'STREAM'];
const COMPLETENESS_HEADINGS = [
  'COMPLETE TO',
  'HIGHEST',
  'MISSING',
  'GIVEN UP',
  'DUPLICATES',
  'CONFLICTS',
  'WITHDRAWN',
];

export function renderRouterStatus(status: RouterStatus): string {
  const head = [
    `router  headgate ${status.version}  up ${spanText(status.uptimeSeconds * 1000)}`,
    ...(status.signing === undefined ? [] : [`key ${status.signing.keyId}  signs receipts`]),
    ledger(status),
    ...summary(status.summary),
  ].map(line);
  const sections = [head.join('\n'), sources(status), ...stored(status), ...overQuota(status)];
  if (status.feeds.length > 0) sections.push(feeds(status), ...refused(status));
  if (status.gateways.length > 0) sections.push(gateways(status));
  return sections.join('\n\n');
}

function ledger({ ledger, ledgerError }: RouterStatus): string {
  if (ledger === null) return `ledger  away: ${ledgerError ?? 'no answer'}`;
  const { records, duplicates, conflicts, deadLetters } = ledger;
  return `ledger  ${countText(records)} records, ${countText(duplicates)} duplicates reconciled, ${conflicts} conflicts, ${deadLetters} dead letters`;
}

function sources(status: RouterStatus): string {
  return table(
    [
      'SOURCE',
      'TYPE',
      'STATE',
      'RECEIVED',
      'SETTLED',
      'DUPLICATES',
      'AGE',
      'QUEUED',
      'BACKLOG',
      'LAST MESSAGE',
      'LAST ERROR',
    ],
    status.sources.map((source) => [
      source.name,
      source.type,
      source.connected ? 'connected' : 'down',
      countText(source.received),
      countText(source.settled),
      duplicatesText(source.duplicates),
      spanText(source.recordAgeMs),
      spanText(source.queueAgeMs),
      source.backlog === null ? '–' : countText(source.backlog),
      timeText(source.lastReceivedMs),
      source.lastError ?? 'none',
    ]),
  );
}

/** The gateways that hold most of the ledger. */
function stored({ stored }: RouterStatus): string[] {
  if (!stored || stored.gateways.length === 0) return [];
  const rows = stored.gateways.slice(0, HOLDERS_SHOWN).map(({ gateway, bytes }) => {
    const share = stored.total === 0 ? 0 : Math.round((100 * bytes) / stored.total);
    return [gateway, bytesText(bytes), `${share} %`];
  });
  return [table([`HOLDS MOST OF ${bytesText(stored.total)}`, 'BYTES', 'SHARE'], rows)];
}

/** The gateways over a quota in the last hour. */
function overQuota({ overQuota = [] }: RouterStatus): string[] {
  const rows = overQuota.map(
    ({ gateway, source, isProven, group, quota, waited, deadLetters, dropped = 0, lastWallMs }) => [
      isProven ? gateway : gateway === '' ? '(not proven)' : `${gateway} (claimed)`,
      source,
      group,
      quota,
      countText(waited),
      countText(deadLetters),
      countText(dropped),
      timeText(lastWallMs),
    ],
  );
  if (rows.length === 0) return [];
  return [
    table(['OVER QUOTA', 'SOURCE', 'GROUP', 'QUOTA', 'WAITED', 'DEAD LETTERS', 'DROPPED', 'LAST'], rows),
  ];
}

function feeds(status: RouterStatus): string {
  return table(
    ['FEED', 'STATE', 'OFFSET', 'LAG', 'BEHIND', 'QUARANTINED', 'FAILURES', 'LAST ERROR'],
    status.feeds.map(
      ({ name, phase, offset, lag, lagSeconds, quarantined = 0, failures, lastError, refused }) => [
        name,
        refused === null ? phase : `${phase}, held up`,
        String(offset ?? '–'),
        String(lag ?? '–'),
        spanText(lagSeconds === null ? null : lagSeconds * 1000),
        String(quarantined),
        String(failures),
        lastError ?? 'none',
      ],
    ),
  );
}

/** The refused record of each blocked feed, with the remedy. */
function refused(status: RouterStatus): string[] {
  const rows = status.feeds.flatMap(({ name, refused }) =>
    refused === null ? [] : [[name, refused.id, String(refused.offset), refused.error]],
  );
  if (rows.length === 0) return [];
  const advice =
    'A feed that is held up goes on when its destination takes the record, or with `headgate feeds skip`.';
  return [`${table(['REFUSED BY', 'RECORD', 'OFFSET', 'ERROR'], rows)}\n${line(advice)}`];
}

/** A line per stream: complete, missing, given up and in conflict (I6). */
function gateways(status: RouterStatus): string {
  return table(
    [...STREAM_HEADINGS, 'LAST CONTACT', ...COMPLETENESS_HEADINGS],
    status.gateways.flatMap(({ gateway, lastContactMs, streams }) => {
      const contact = timeText(lastContactMs);
      if (streams.length === 0)
        return [[gateway, 'none', 'none', contact, ...COMPLETENESS_HEADINGS.map(() => '–')]];
      return streams.map((stream) => [
        gateway,
        stream.epoch,
        stream.stream,
        contact,
        ...completeness(stream),
      ]);
    }),
    STREAM_HEADINGS.length,
  );
}

/** `headgate completeness`: a line per stream of each gateway. */
export function renderCompleteness(
  streams: readonly StreamCompletenessStatus[],
  sum: FleetSummary | null,
): string {
  const lines = table(
    [...STREAM_HEADINGS, ...COMPLETENESS_HEADINGS],
    streams.map((stream) => [stream.gateway, stream.epoch, stream.stream, ...completeness(stream)]),
    STREAM_HEADINGS.length,
  );
  return [...summary(sum).map(line), '', lines].join('\n');
}

function summary(sum: FleetSummary | null): string[] {
  if (sum === null) return [];
  const { streams, incomplete, missing, givenUp } = sum;
  return [
    `streams ${countText(streams)}, ${incomplete} incomplete: ${missing} records missing; ${givenUp} given up`,
  ];
}

function completeness(stream: StreamCompletenessStatus): string[] {
  return [
    String(stream.completeTo),
    String(stream.highest),
    missingText(stream),
    givenUpText(stream),
    String(stream.duplicates),
    String(stream.conflicts),
    withdrawnText(stream),
  ];
}

function missingText({ missing, missingCount }: StreamCompletenessStatus): string {
  if (missingCount === 0) return 'nothing';
  const shown = missing
    .slice(0, RANGES_SHOWN)
    .map(({ first, last }) => (first === last ? `${first}` : `${first}–${last}`));
  return `${missingCount} (${shown.join(', ')}${missing.length > RANGES_SHOWN ? ', …' : ''})`;
}

function givenUpText({ gaps, givenUpCount }: StreamCompletenessStatus): string {
  if (gaps.length === 0) return 'nothing';
  return `${givenUpCount} (${[...new Set(gaps.map((gap) => gap.reason))].join(', ')})`;
}

function withdrawnText({ withdrawn }: StreamCompletenessStatus): string {
  return countsText(withdrawn) || 'nothing';
}

function duplicatesText(duplicates: Readonly<Record<string, number>>): string {
  return countsText(duplicates) || 'none';
}

function countsText(counts: Readonly<Record<string, number>>): string {
  const told = Object.entries(counts).filter(([, count]) => count > 0);
  return told.map(([why, count]) => `${count} (${why})`).join(', ');
}

function timeText(wallMs: number | null): string {
  return wallMs === null ? 'never' : isoTime(wallMs);
}
