/**
 * At most one session at a time, made when somebody needs it. Everyone who asks while a connect is under way
 * waits for that one; connects never start closer together than the spacing, so a hub that is down or refuses
 * us is not stormed.
 */
import type { Clock } from '../../../shared/clock.ts';
import type { Logger } from '../../../shared/log.ts';
import { within } from '../../../shared/within.ts';
import type { Cut, Phase } from '../publisher.ts';
import type { TwinLink } from '../twin-link.ts';
import { type ConnectFailure, connectFailure, notConnected, unauthorized } from './outcome.ts';
import { Session, type SessionOptions } from './session.ts';

const CONNECT_SPACING_MS = 250;
/** How long the files of the credentials may take to be read. */
const PREPARE_MS = 5000;

export interface ConnectionOptions {
  /**
   * Read before every connect, so that a renewed certificate file is taken up; or why the credentials are of
   * no use.
   */
  prepare: () => Promise<Omit<SessionOptions, 'clock' | 'onEnd' | 'onCut'> | { unusable: string }>;
  /** The hub ended a session in a way that may be its silent word for a limit. */
  onCut: (cut: Cut) => void;
  /** Who reads the device's twin over these sessions, if anybody does. */
  twin?: TwinLink | undefined;
  clock: Clock;
  log: Logger;
}

type Acquired = { session: Session } | { failure: ConnectFailure };

export class Connection {
  readonly #options: ConnectionOptions;
  #session: Session | null = null;
  #connecting: Promise<Acquired> | null = null;
  #startedMs = Number.NEGATIVE_INFINITY;
  #lastFailure: string | null = null;
  #closed: boolean = false;
  readonly #acquireForTwin = (): Promise<Acquired> => this.acquire();

  constructor(options: ConnectionOptions) {
    this.#options = options;
    options.twin?.attach(this.#acquireForTwin);
  }

  /** The open session, or why there is none. Never rejects. */
  async acquire(): Promise<Acquired> {
    // A session that renews its token is waited for: connecting beside it would cut its last publishes.
    while (this.#session && this.#session.retiring !== null) await this.#session.retiring;
    if (this.#closed) return { failure: notConnected('closed') };
    if (this.#connecting) return this.#connecting;
    if (this.#session) return { session: this.#session };
    const now = this.#options.clock.monoMs();
    if (now - this.#startedMs < CONNECT_SPACING_MS) {
      return { failure: notConnected(this.#lastFailure ?? 'waiting to reconnect') };
    }
    this.#startedMs = now;
    this.#connecting = this.#connect().finally(() => {
      this.#connecting = null;
    });
    return this.#connecting;
  }

  /** Of the session that is being made, or is there. */
  get phase(): Phase {
    return this.#session?.phase ?? 'credentials';
  }

  close(): void {
    this.#closed = true;
    this.#options.twin?.detach(this.#acquireForTwin);
    this.#session?.end('closed');
  }

  async #connect(): Promise<Acquired> {
    const { prepare, onCut, twin, clock, log } = this.#options;
    let session: Session;
    try {
      const prepared = await within(clock, PREPARE_MS, prepare(), () => ({
        unreadable: `its credentials were not read within ${PREPARE_MS} ms`,
      }));
      if ('unreadable' in prepared) return this.#failed(notConnected(prepared.unreadable));
      if ('unusable' in prepared) return this.#failed(unauthorized(prepared.unusable));
      session = new Session({
        ...prepared,
        clock,
        onEnd: (detail) => this.#onEnd(session, detail),
        onCut,
      });
    } catch (error) {
      return this.#failed(connectFailure(null, error));
    }
    if (this.#closed) return { failure: notConnected('closed') };
    this.#session = session;
    const failure = await session.open();
    if (failure) return this.#failed(failure);
    this.#lastFailure = null;
    log.info({ event: 'azure.connected' });
    const channel = twin && session.twin(twin.metered);
    if (channel) twin.opened(channel);
    return { session };
  }

  #onEnd(session: Session, detail: string): void {
    if (this.#session !== session) return;
    this.#session = null;
    this.#options.log.debug({ event: 'azure.session_ended', detail });
  }

  #failed(failure: ConnectFailure): Acquired {
    // One line per new reason: a hub that is down for days is tried again and again.
    if (failure.detail !== this.#lastFailure) {
      this.#options.log.warn({ event: 'azure.connect_failed', cause: failure.cause, detail: failure.detail });
    }
    this.#lastFailure = failure.detail;
    return { failure };
  }
}
