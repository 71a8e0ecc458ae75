/** The router's JSON routes: what it reads, what the ledger holds, and how complete each gateway's streams are (I6). */
import type { AdminRoute } from '../shared/admin-server.ts';
import type { Clock } from '../shared/clock.ts';
import type { RouterStatus } from '../shared/status.ts';
import { packageVersion } from '../shared/version.ts';
import type { Feed } from './feeds/feed.ts';
import { feedLags } from './feeds/lag.ts';
import type { Ingest } from './ingest.ts';
import type { Ledger } from './ledger/ledger.ts';
import type { SourceAges } from './sources/age.ts';
import type { Source } from './sources/source.ts';

export interface RouterParts {
  sources: readonly Source[];
  ages: Pick<SourceAges, 'of'>;
  ingest: Pick<Ingest, 'counters'>;
  ledger: Ledger;
  feeds: readonly Feed[];
  clock: Clock;
}

/** `/v1/status` and `/v1/completeness?gateway=`. */
export function routerRoutes(parts: RouterParts): Record<string, AdminRoute> {
  const startedMs = parts.clock.monoMs();
  return {
    '/v1/status': async () => ({ status: 200, body: await routerStatus(parts, startedMs) }),
    '/v1/completeness': async (query) => ({
      status: 200,
      body: await parts.ledger.completeness(query['gateway']),
    }),
  };
}

async function routerStatus(parts: RouterParts, startedMs: number): Promise<RouterStatus> {
  const { sources, ages, ingest, ledger, feeds, clock } = parts;
  const counters = ingest.counters();
  const [totals, streams, contacts, lags] = await Promise.all([
    ledger.totals(),
    ledger.completeness(),
    ledger.contacts(),
    feedLags(feeds, ledger, clock),
  ]);
  const lastContact = new Map<string, number>();
  for (const { gateway, lastWallMs } of contacts) {
    lastContact.set(gateway, Math.max(lastWallMs, lastContact.get(gateway) ?? 0));
  }
  const gateways = new Set([...lastContact.keys(), ...streams.map(({ gateway }) => gateway)]);
  return {
    kind: 'router',
    version: packageVersion(),
    uptimeSeconds: (clock.monoMs() - startedMs) / 1000,
    sources: sources.map((source) => ({
      name: source.name,
      type: source.type,
      ...source.state(),
      ...ages.of(source.name),
      duplicates: counters.get(source.name)?.duplicateCauses ?? {},
    })),
    ledger: totals,
    feeds: feeds.flatMap((feed) => {
      const { name, phase, failures, lastError } = feed.state();
      const lag = lags.get(name);
      if (!lag) return [];
      return [
        { name, phase, offset: lag.offset, lag: lag.records, lagSeconds: lag.seconds, failures, lastError },
      ];
    }),
    gateways: [...gateways].sort().map((gateway) => ({
      gateway,
      lastContactMs: lastContact.get(gateway) ?? null,
      streams: streams.filter((stream) => stream.gateway === gateway),
    })),
  };
}
