/**
 * The router's JSON routes: the state of its sources, ledger and feeds, and how complete each gateway's
 * streams are (I6).
 */
import type { CompletenessAnswer, RouterStatus } from '../../shared/admin-api/status.ts';
import type { AdminRoute } from '../../shared/admin-server.ts';
import type { Clock } from '../../shared/clock.ts';
import { packageVersion } from '../../shared/version.ts';
import type { Feed } from '../feeds/feed.ts';
import { feedLags } from '../feeds/lag.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { type SourceParts, sourceStatuses } from '../sources/status.ts';
import { type FleetQuery, gatewaysPage, parseFleetQuery, Summary, streamsPage } from './fleet.ts';

export interface RouterParts extends SourceParts {
  ledger: Ledger;
  feeds: readonly Feed[];
  clock: Clock;
}

/** `/v1/status?after=&limit=` and `/v1/completeness?gateway=&after=&limit=`. */
export function routerRoutes(parts: RouterParts): Record<string, AdminRoute> {
  const startedMs = parts.clock.monoMs();
  const summary = new Summary(parts.ledger);
  const paged =
    (answer: (page: FleetQuery, gateway?: string) => Promise<unknown>): AdminRoute =>
    async (query) => {
      const page = parseFleetQuery(query);
      if (typeof page === 'string') return { status: 400, body: { error: page } };
      return { status: 200, body: await answer(page, query['gateway']) };
    };
  return {
    '/v1/status': paged((page) => routerStatus(parts, summary, startedMs, page)),
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

async function routerStatus(
  parts: RouterParts,
  summary: Summary,
  startedMs: number,
  page: FleetQuery,
): Promise<RouterStatus> {
  const { ledger, feeds, clock } = parts;
  const [totals, sum, gateways, lags] = await Promise.all([
    ledger.totals(),
    page.after === null ? summary.of() : null,
    gatewaysPage(ledger, page),
    feedLags(feeds, ledger, clock),
  ]);
  return {
    kind: 'router',
    version: packageVersion(),
    uptimeSeconds: (clock.monoMs() - startedMs) / 1000,
    sources: sourceStatuses(parts),
    ledger: totals,
    feeds: feeds.flatMap((feed) => {
      const { name, phase, failures, lastError } = feed.state();
      const lag = lags.get(name);
      if (!lag) return [];
      return [
        { name, phase, offset: lag.offset, lag: lag.records, lagSeconds: lag.seconds, failures, lastError },
      ];
    }),
    summary: sum,
    ...gateways,
  };
}
