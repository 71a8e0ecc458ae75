/**
 * At most one session at a time, opened on demand. All callers during a connect wait for that connect.
 * Connects keep a minimum spacing, so that a hub that is down or refuses the device is not flooded.
 */
import type { Clock } from '../../../shared/clock.ts';
import type { Logger } from '../../../shared/log.ts';
import { within } from '../../../shared/within.ts';
import type { Cut, Phase } from '../publisher.ts';
import type { TwinLink } from '../twin-link.ts';
import { type ConnectFailure, connectFailure, notConnected, unauthorized } from './outcome.ts';
import { Session, type SessionOptions } from './session.ts';

const CONNECT_SPACING_MS = 250;
/** Time limit for reading the credential files. */
const PREPARE_MS = 5000;

export interface ConnectionOptions {
  /**
   * Called before every connect, to read renewed certificate files. Returns the options, or why the
   * credentials are unusable.
   */
  prepare: () => Promise<Omit<SessionOptions, 'clock' | 'onEnd' | 'onCut'> | { unusable: string }>;
  /** The hub ended a session in a way that may signal a limit. */
  onCut: (cut: Cut) => void;
  /** The reader of the device's twin over these sessions, if there is one. */
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
    // Waits for a session that renews its token: a second connection would cut its last publishes.
    while (this.#session && this.#session.retiring !== null) await this.#session.retiring;
    if (this.#closed) return { failure: notConnected('closed') };
    if (this.#connecting) return this.#connecting;
    if (this.#session) return { session: this.#session };
    const { clock } = this.#options;
    const waitMs = this.#startedMs + CONNECT_SPACING_MS - clock.monoMs();
    if (waitMs > 0 && this.#lastFailure !== null) return { failure: notConnected(this.#lastFailure) };
    // The last session was open: its end says nothing of the next one.
    this.#connecting = (
      waitMs > 0 ? clock.sleep(waitMs).then(() => this.#connect()) : this.#connect()
    ).finally(() => {
      this.#connecting = null;
    });
    return this.#connecting;
  }

  /** Phase of the present session, or of the one being opened. */
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
    if (this.#closed) return { failure: notConnected('closed') };
    this.#startedMs = clock.monoMs();
    let session: Session;
    try {
      const prepared = await within(clock, PREPARE_MS, prepare(), () => ({
        unreadable: `the credential files were not read within ${PREPARE_MS} ms`,
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
    if (session.hasAccepted) this.#startedMs = Number.NEGATIVE_INFINITY;
    this.#options.log.debug({ event: 'azure.session_ended', detail });
  }

  #failed(failure: ConnectFailure): Acquired {
    // Logs each new reason once: a hub that is down for days is retried continuously.
    if (failure.detail !== this.#lastFailure) {
      this.#options.log.warn({ event: 'azure.connect_failed', cause: failure.cause, detail: failure.detail });
    }
    this.#lastFailure = failure.detail;
    return { failure };
  }
}
