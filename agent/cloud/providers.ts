/**
 * Opens a provider's publisher by type. Each SDK is loaded only when a provider of its type is enabled: the three
 * together cost some 90 MB that a small gateway has better use for.
 */
import type { Clock, Timer } from '../../shared/clock.ts';
import { errorText, type Logger } from '../../shared/log.ts';
import type { ProviderConfig } from '../config.ts';
import type { OutboundEnvelope, Outcome, ProviderType, Publisher } from './publisher.ts';

interface PublisherDeps {
  clock: Clock;
  log: Logger;
}

const REOPEN_MS = 5000;
/** Until the publisher is open its own limit is unknown; no provider takes less than this. */
const ENVELOPE_BYTES_UNTIL_OPEN = 120_000;

/** Loads credentials and SDK anew. Rejects when a file that the entry names cannot be read, or is not what it should be. */
export async function openPublisher(config: ProviderConfig, deps: PublisherDeps): Promise<Publisher> {
  switch (config.type) {
    case 'aws':
      return (await import('./aws.ts')).openAwsPublisher(config, deps);
    case 'azure':
      return (await import('./azure.ts')).openAzurePublisher(config, deps);
    case 'gcp':
      return (await import('./gcp.ts')).openGcpPublisher(config, deps);
    case 'mqtt':
      return (await import('./mqtt.ts')).openMqttPublisher(config, deps);
    case 'https':
      return (await import('./https.ts')).openHttpsPublisher(config, deps);
  }
}

/**
 * A publisher that is there from the start and opens in the background: a provider whose certificate file or credentials
 * are not readable yet must not keep the gateway from taking records (I9).
 */
export function supervisePublisher(config: ProviderConfig, deps: PublisherDeps): Publisher {
  return new SupervisedPublisher(config, deps);
}

class SupervisedPublisher implements Publisher {
  readonly type: ProviderType;
  readonly #config: ProviderConfig;
  readonly #deps: PublisherDeps;
  #opening: Promise<void>;
  #inner: Publisher | null = null;
  /** What a publish comes to while it is not open. */
  #unopened: Outcome = { kind: 'retryable', cause: 'not-connected', detail: 'still opening' };
  #retry: Timer | null = null;
  #closed: boolean = false;

  constructor(config: ProviderConfig, deps: PublisherDeps) {
    this.type = config.type;
    this.#config = config;
    this.#deps = deps;
    this.#opening = this.#open();
  }

  get maxEnvelopeBytes(): number {
    return this.#inner?.maxEnvelopeBytes ?? ENVELOPE_BYTES_UNTIL_OPEN;
  }

  async publish(message: OutboundEnvelope, deadlineMs: number): Promise<Outcome> {
    if (!this.#inner) await Promise.race([this.#opening, this.#deps.clock.sleep(deadlineMs)]);
    if (this.#inner) return this.#inner.publish(message, deadlineMs);
    return this.#unopened;
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#retry?.cancel();
    await Promise.race([this.#opening, this.#deps.clock.sleep(1000)]);
    await this.#inner?.close();
  }

  async #open(): Promise<void> {
    try {
      const inner = await openPublisher(this.#config, this.#deps);
      if (this.#closed) await inner.close();
      else this.#inner = inner;
    } catch (error) {
      const detail = errorText(error);
      // The only files that opening reads say who we are and whom to trust: nothing passes until somebody mends them.
      this.#unopened = { kind: 'rejected', scope: 'provider', cause: 'unauthorized', detail };
      this.#deps.log.error({
        event: 'provider.open_failed',
        provider: this.#config.name,
        error: detail,
      });
      if (this.#closed) return;
      this.#retry = this.#deps.clock.setTimer(REOPEN_MS, () => {
        this.#opening = this.#open();
      });
    }
  }
}
