/** What the agent measures of its credentials (I9): which are in use, which were refused, when they end. */
import { Gauge, type Registry } from 'prom-client';
import type { CredentialPublisher, CredentialsNow } from './rotating-publisher.ts';

/** Read when Prometheus asks. */
export function registerCredentials(
  registry: Registry,
  publishers: ReadonlyMap<string, CredentialPublisher>,
): void {
  /** `read` is null where there is nothing to say of a slot. */
  const gauge = (
    name: string,
    help: string,
    read: (slot: CredentialsNow['slots'][number], now: CredentialsNow) => number | null,
  ): void => {
    new Gauge({
      name: `headgate_agent_provider_credential${name}`,
      help,
      labelNames: ['provider', 'slot'],
      registers: [registry],
      collect() {
        this.reset();
        for (const [provider, publisher] of publishers) {
          const now = publisher.credentials();
          for (const slot of now.slots) {
            const value = read(slot, now);
            if (value !== null) this.set({ provider, slot: slot.slot }, value);
          }
        }
      },
    });
  };
  gauge('', 'One for the credentials in use.', ({ slot }, { inUse }) => (slot === inUse ? 1 : 0));
  gauge('_refused', 'One for credentials that the provider refused last.', ({ refused }) =>
    refused ? 1 : 0,
  );
  gauge('_expiry_seconds', 'Unix time at which credentials end, where they say so.', ({ expiresMs }) =>
    expiresMs === null ? null : expiresMs / 1000,
  );
}
