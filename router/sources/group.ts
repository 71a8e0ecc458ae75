/**
 * The sources and the ingest that takes their messages, as one service. At a stop the sources take no new
 * message and settle the messages in hand after their commit, so that nothing is processed twice. The sources
 * stop in parallel: a stuck source delays no other, and every step has its own time limit.
 */
import { type Service, stopAll, stopTogether } from '../../shared/service.ts';
import type { DeliveryHandler, Source } from './source.ts';

/** The taker of the messages; `drain` resolves once those in hand are settled, within its bound. */
export interface Intake {
  handler: DeliveryHandler;
  drain(): Promise<void>;
}

export class SourceGroup implements Service {
  readonly #sources: readonly Source[];
  readonly #ingest: Intake;
  #closed: string | null = 'the router is starting';

  constructor(sources: readonly Source[], ingest: Intake) {
    this.#sources = sources;
    this.#ingest = ingest;
  }

  /** Why the router takes no messages, for `/readyz`; null while it takes them. */
  get closed(): string | null {
    return this.#closed;
  }

  async start(): Promise<void> {
    await Promise.all(this.#sources.map((source) => source.start(this.#ingest.handler)));
    this.#closed = null;
  }

  async stop(): Promise<void> {
    this.#closed = 'the router is stopping';
    const stopSources = () => stopTogether(this.#sources.map((source) => () => source.stop()));
    await stopAll([stopSources, () => this.#ingest.drain()]);
  }
}
