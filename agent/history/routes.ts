/** The agent's JSON route that the history answers: `/v1/where?id=`. */
import type { AdminRoute } from '../../shared/admin-server.ts';
import type { Policy } from '../../shared/policy/policy.ts';
import { parseRecordId } from '../../shared/record.ts';
import type { Store } from '../store/store.ts';
import type { History } from './history.ts';
import { readProblem } from './read-problem.ts';
import { whereIs } from './where.ts';

interface HistoryRoutesParts {
  gateway: string;
  policy: () => Policy;
  store: Store;
  history: History;
}

export function historyRoutes({
  gateway,
  policy,
  store,
  history,
}: HistoryRoutesParts): Record<string, AdminRoute> {
  const copiesOf = (stream: string): number | null => {
    const { streams } = policy();
    return Object.hasOwn(streams, stream) ? (streams[stream]?.redundancy ?? null) : null;
  };
  return {
    '/v1/where': async ({ id: text = '' }) => {
      const id = parseRecordId(text);
      if (!id) {
        const error = `"${text}" is not a record id: expected <gateway>/<epoch>/<stream>/<seq>, such as ${gateway}/${store.epoch}/telemetry/1`;
        return { status: 400, body: { error } };
      }
      if (id.gateway !== gateway)
        return {
          status: 404,
          body: { error: `the record belongs to gateway ${id.gateway}; this is ${gateway}` },
        };
      try {
        return { status: 200, body: await whereIs(id, { store, history, copiesOf }) };
      } catch (error) {
        return {
          status: 503,
          body: { error: `the buffer or the history cannot be read: ${readProblem(error)}` },
        };
      }
    },
  };
}
