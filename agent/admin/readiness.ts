/** The checks of `/readyz`: null for a part that works, otherwise the reason why it does not. */
import type { Broker } from '../broker/broker.ts';
import { DISK_ADVICE } from '../store/disk-state.ts';
import type { Store } from '../store/store.ts';

export function readinessChecks({
  store,
  broker,
  stranded,
}: {
  store: Store;
  broker: Broker;
  /** By stream: the reason why its records can never leave. */
  stranded: () => ReadonlyMap<string, string>;
}): Readonly<Record<string, () => string | null>> {
  return {
    store: () => (store.state() === 'ok' ? null : storeProblem(store)),
    broker: () => listenersProblem(broker),
    routing: () => strandedProblem(stranded()),
  };
}

function strandedProblem(stranded: ReadonlyMap<string, string>): string | null {
  if (stranded.size === 0) return null;
  return [...stranded].map(([stream, reason]) => `stream "${stream}": ${reason}`).join('; ');
}

/** The listeners that are not listening, each with its error. */
function listenersProblem(broker: Broker): string | null {
  const failed = broker.listeners().filter(({ error }) => error !== null);
  if (failed.length === 0) return null;
  return failed
    .map(({ type, host, port, error }) => `${type} listener on ${host}:${port}: ${error}`)
    .join('; ');
}

/** The state, what to do, and the error. */
function storeProblem(store: Store): string {
  const state = store.state();
  return [state, DISK_ADVICE[state], store.lastError?.message].filter((text) => text).join('; ');
}
