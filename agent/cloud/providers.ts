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

async function openPublisher(config: ProviderConfig, deps: PublisherDeps): Promise<Publisher> {
  switch (config.type) {
    case 'aws':
      return (await import('./aws.ts')).openAwsPublisher(config, deps);
    case 'azure':
      return (await import('./azure.ts')).openAzurePublisher(config, deps);
    case 'gcp':
      return (await import('./gcp.ts')).openGcpPublisher(config, deps);
    case 'mqtt':
      return (await import('./mqtt.ts')).openMqttPublisher(config, deps);
  }
}

/**
 * A publisher that is there from the start and opens in the background: a provider whose certificate file or credentials
 * are not readable yet must not keep the gateway from taking records (I9). Until it is open, a publish is `not-connected`.
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
  #lastError = 'still opening';
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
    return { kind: 'retryable', cause: 'not-connected', detail: this.#lastError };
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
      this.#lastError = errorText(error);
      this.#deps.log.error({
        event: 'provider.open_failed',
        provider: this.#config.name,
        error: this.#lastError,
      });
      if (this.#closed) return;
      this.#retry = this.#deps.clock.setTimer(REOPEN_MS, () => {
        this.#opening = this.#open();
      });
    }
  }
}
