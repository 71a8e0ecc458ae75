/** The agent's route `/v1/clients`, page by page. Types in shared/admin-api/clients.ts. */
import type { ClientStatus, ClientsAnswer } from '../../shared/admin-api/clients.ts';
import type { AdminRoute } from '../../shared/admin-server.ts';
import type { Clock } from '../../shared/clock.ts';
import type { ClientEntry } from '../broker/client-book.ts';

/** Clients in one answer (I10). */
const PAGE = 500;

export interface ClientParts {
  broker: { clients(): readonly ClientEntry[]; stats(): { takenOver: number } };
  clock: Clock;
}

export function clientRoutes({ broker, clock }: ClientParts): Record<string, AdminRoute> {
  return {
    '/v1/clients': ({ after }) => {
      const all = broker.clients();
      const from = after === undefined ? 0 : Number(after);
      if (!Number.isInteger(from) || from < 0) return { status: 400, body: { error: `no page "${after}"` } };
      const nowMs = clock.monoMs();
      const answer: ClientsAnswer = {
        kind: 'clients',
        known: all.length,
        connected: all.filter(({ connectedMs }) => connectedMs !== null).length,
        takenOver: broker.stats().takenOver,
        clients: all.slice(from, from + PAGE).map((entry) => status(entry, nowMs)),
        next: from + PAGE < all.length ? String(from + PAGE) : null,
      };
      return { status: 200, body: answer };
    },
  };
}

function status({ connectedMs, lastSeenMs, refused, ...entry }: ClientEntry, nowMs: number): ClientStatus {
  return {
    clientId: entry.clientId,
    address: entry.address,
    connectedForMs: connectedMs === null ? null : Math.round(nowMs - connectedMs),
    lastSeenMs: Math.round(nowMs - lastSeenMs),
    published: entry.published,
    ratePerSecond: entry.ratePerSecond,
    refused: Object.fromEntries(refused),
    lastRefusal: entry.lastRefusal,
    takenOver: entry.takenOver,
  };
}
