/**
 * `/v1/holds`: GET lists, PUT adds, DELETE `?provider=&reason=` (or `&all=yes`) ends. Changes are accepted
 * only from this machine.
 */
import type { HoldList } from '../../shared/admin-api/holds.ts';
import type { AdminChanges, AdminRoute, RouteAnswer } from '../../shared/admin-server.ts';
import { isoTime } from '../../shared/clock.ts';
import { problemOf } from '../../shared/wire-json.ts';
import { holdRequest } from './hold-file.ts';
import type { HoldChange, Holds } from './holds.ts';

interface HoldRoutesParts {
  holds: Holds;
  /** Names of the enabled providers. */
  providers: readonly string[];
}

export function holdRoutes({ holds, providers }: HoldRoutesParts): {
  routes: Record<string, AdminRoute>;
  changes: Record<string, AdminChanges>;
} {
  const answered = (change: HoldChange): RouteAnswer =>
    change.ok
      ? { status: 200, body: listed(holds, providers, change.kept) }
      : { status: 404, body: { error: change.problem } };
  const unknown = (provider: string): RouteAnswer => ({
    status: 404,
    body: { error: `no provider "${provider}"; there are ${providers.join(', ')}` },
  });
  const changes: AdminChanges = {
    noted(request) {
      if (request.method === 'DELETE') {
        const { provider = '', ...detail } = request.query;
        return { action: 'hold.rm', target: provider, detail };
      }
      const parsed = holdRequest.safeParse(request.body);
      if (!parsed.success) return null;
      const { provider, reason, for: forMs } = parsed.data;
      return { action: 'hold.add', target: provider, detail: { reason, forMs } };
    },
    async put(body) {
      const parsed = holdRequest.safeParse(body);
      if (!parsed.success) return { status: 400, body: { error: problemOf(parsed.error) } };
      const { provider, reason, for: forMs = null } = parsed.data;
      return providers.includes(provider)
        ? answered(await holds.add(provider, reason, forMs))
        : unknown(provider);
    },
    async delete({ provider = '', reason, all }) {
      const own = holds.list().filter((hold) => hold.provider === provider);
      if (own.length === 0 && !providers.includes(provider)) return unknown(provider);
      if (reason === undefined && all === undefined && own.length > 1) {
        const reasons = own.map((hold) => `"${hold.reason}"`).join(', ');
        const error = `${provider} has ${own.length} holds: ${reasons}; say which, or all`;
        return { status: 400, body: { error } };
      }
      return answered(await holds.remove(provider, reason ?? null));
    },
  };
  return {
    routes: { '/v1/holds': () => ({ status: 200, body: listed(holds, providers, true) }) },
    changes: { '/v1/holds': changes },
  };
}

function listed(holds: Holds, providers: readonly string[], kept: boolean): HoldList {
  return {
    kind: 'holds',
    holds: holds.list().map(({ provider, reason, since, leftMs }) => ({
      provider,
      reason,
      since: isoTime(since.wallMs),
      clock: since.synchronised ? 'synchronised' : 'unsynchronised',
      leftMs,
      isKnown: providers.includes(provider),
    })),
    kept,
  };
}
