/** Metrics of credentials (I9): which are in use, which were refused, and their expiry. */
import { Gauge, type Registry } from 'prom-client';
import type { CredentialPublisher, CredentialsNow } from './rotating-publisher.ts';

/** Registers metrics that are read at each scrape. */
export function registerCredentials(
  registry: Registry,
  publishers: ReadonlyMap<string, CredentialPublisher>,
): void {
  /** `read` returns null for a slot without a value. */
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
  gauge('_refused', 'One for credentials whose last answer was a refusal.', ({ refused }) =>
    refused ? 1 : 0,
  );
  gauge('_expiry_seconds', 'Unix time of the credentials’ expiry, where it is known.', ({ expiresMs }) =>
    expiresMs === null ? null : expiresMs / 1000,
  );
}
