/** What `/readyz` asks of the agent: null where a part can do its work, otherwise why it cannot. */
import type { Broker } from '../broker/broker.ts';
import { DISK_ADVICE } from '../store/disk-state.ts';
import type { Store } from '../store/store.ts';

export function readinessChecks({
  store,
  broker,
}: {
  store: Store;
  broker: Broker;
}): Readonly<Record<string, () => string | null>> {
  return {
    store: () => (store.state() === 'ok' ? null : storeProblem(store)),
    broker: () => (broker.addresses().length > 0 ? null : 'not listening'),
  };
}

/** The state, what to do, and the error. */
function storeProblem(store: Store): string {
  const state = store.state();
  return [state, DISK_ADVICE[state], store.lastError?.message].filter((text) => text).join('; ');
}
