/**
 * The router's JSON routes: the state of its sources, ledger and feeds, and how complete each gateway's
 * streams are (I6).
 */
import type { CompletenessAnswer, RouterStatus } from '../../shared/admin-api/status.ts';
import type { AdminRoute } from '../../shared/admin-server.ts';
import type { Clock } from '../../shared/clock.ts';
import { errorText } from '../../shared/log.ts';
import { packageVersion } from '../../shared/version.ts';
import { within } from '../../shared/within.ts';
import type { Feed } from '../feeds/feed.ts';
import { feedLags } from '../feeds/lag.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { Maintenance } from '../maintenance.ts';
import type { Quotas } from '../quotas/quotas.ts';
import { type SourceParts, sourceStatuses } from '../sources/status.ts';
import { type FleetQuery, gatewaysPage, parseFleetQuery, Summary, streamsPage } from './fleet.ts';

/** Limits for the ledger's totals, and for the survey of a large fleet. */
const TOTALS_MS = 3000;
const SURVEY_MS = 60_000;
/** Most gateways over a quota in an answer. */
const OVER_SHOWN = 20;

export interface RouterParts extends SourceParts {
  ledger: Ledger;
  feeds: readonly Feed[];
  quotas: Pick<Quotas, 'over'>;
  maintenance: Pick<Maintenance, 'stored'>;
  /** Of the key that signs receipts. */
  keyId: string;
  clock: Clock;
}

/** `/v1/status?after=&limit=` and `/v1/completeness?gateway=&after=&limit=`. */
export function routerRoutes(parts: RouterParts): Record<string, AdminRoute> {
  const startedMs = parts.clock.monoMs();
  const summary = new Summary(parts.ledger);
  // Read now: later the process may have no file descriptor left.
  const version = packageVersion();
  const paged =
    (answer: (page: FleetQuery, gateway?: string) => Promise<unknown>): AdminRoute =>
    async (query) => {
      const page = parseFleetQuery(query);
      if (typeof page === 'string') return { status: 400, body: { error: page } };
      return { status: 200, body: await answer(page, query['gateway']) };
    };
  return {
    '/v1/status': paged((page) => routerStatus(parts, summary, { startedMs, version }, page)),
    '/v1/completeness': paged((page, gateway) => completeness(parts.ledger, summary, page, gateway)),
  };
}

async function completeness(
  ledger: Ledger,
  summary: Summary,
  page: FleetQuery,
  gateway?: string,
): Promise<CompletenessAnswer> {
  const [sum, streams] = await Promise.all([
    page.after === null ? summary.of(gateway) : null,
    streamsPage(ledger, page, gateway),
  ]);
  return { summary: sum, ...streams };
}

/** Answers also while the ledger is away, with the router's own state. */
async function routerStatus(
  parts: RouterParts,
  summary: Summary,
  { startedMs, version }: { startedMs: number; version: string },
  page: FleetQuery,
): Promise<RouterStatus> {
  const { feeds, keyId, clock } = parts;
  const held = await heldInLedger(parts, summary, page);
  return {
    kind: 'router',
    version,
    signing: { keyId },
    uptimeSeconds: (clock.monoMs() - startedMs) / 1000,
    sources: sourceStatuses(parts),
    overQuota: parts.quotas.over(OVER_SHOWN).map(({ outcomes, ...state }) => ({
      ...state,
      waited: outcomes.waits,
      deadLetters: outcomes['dead-letter'],
      dropped: outcomes.dropped,
    })),
    feeds: feeds.map((feed) => {
      const { name, phase, failures, lastError, refused, quarantined } = feed.state();
      const lag = held.lags?.get(name);
      return {
        name,
        phase,
        offset: lag?.offset ?? null,
        lag: lag?.records ?? null,
        lagSeconds: lag?.seconds ?? null,
        failures,
        lastError,
        refused,
        quarantined,
      };
    }),
    ledger: held.totals,
    ledgerError: held.error,
    stored: parts.maintenance.stored(),
    summary: held.summary,
    ...held.gateways,
  };
}

interface Held {
  totals: RouterStatus['ledger'];
  lags: Awaited<ReturnType<typeof feedLags>> | null;
  summary: RouterStatus['summary'];
  gateways: Pick<RouterStatus, 'gateways' | 'next'>;
  error: string | null;
}

/** The ledger's part of the answer. The totals show within seconds whether the ledger answers at all. */
async function heldInLedger(parts: RouterParts, summary: Summary, page: FleetQuery): Promise<Held> {
  const { ledger, feeds, clock } = parts;
  try {
    const totals = await inTime(clock, TOTALS_MS, ledger.totals());
    const [sum, gateways, lags] = await inTime(
      clock,
      SURVEY_MS,
      Promise.all([
        page.after === null ? summary.of() : null,
        gatewaysPage(ledger, page),
        feedLags(feeds, ledger, clock),
      ]),
    );
    return { totals, summary: sum, gateways, lags, error: null };
  } catch (error) {
    const gateways = { gateways: [], next: null };
    return { totals: null, summary: null, gateways, lags: null, error: errorText(error) };
  }
}

function inTime<Value>(clock: Clock, limitMs: number, work: Promise<Value>): Promise<Value> {
  return within(clock, limitMs, work, () => {
    throw new Error(`no answer in ${limitMs} ms`);
  });
}
