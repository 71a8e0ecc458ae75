/**
 * Feeds follow the ledger by offset, each with its own cursor, at its own pace: one that is slow or down holds up no other.
 *
 * At least once: the cursor moves only after the destination has the batch for good, so a crash between the two repeats
 * records and never skips one. A destination that must not see repeats drops them by (gateway, epoch, stream, seq).
 */
import type { Clock } from '../../shared/clock.ts';
import type { Entropy } from '../../shared/entropy.ts';
import { errorText, type Logger } from '../../shared/log.ts';
import type { Service } from '../../shared/service.ts';
import type { Ledger, LedgerRecord } from '../ledger/ledger.ts';
import { DeliveryError, type FeedSink } from './sink.ts';

/**
 * `following`: what is in the ledger goes out as it comes. `retrying`: the last write failed; the same batch is tried again.
 * `gone`: the destination wants no more records, and gets none until the router is started again.
 */
export type FeedPhase = 'following' | 'retrying' | 'gone';

export interface FeedState {
  name: string;
  phase: FeedPhase;
  /** Offset of the last record that the destination has. */
  cursor: number;
  /** Records written since the start, repeats counted. */
  written: number;
  failures: number;
  /** Of the last try, null when it succeeded. */
  lastError: string | null;
}

export interface Feed extends Service {
  readonly name: string;
  /** Says that the ledger may have new records, so that the feed need not wait for its next poll. */
  notify(): void;
  state(): FeedState;
}

export interface FeedOptions {
  /** The cursor is kept under this name. */
  name: string;
  ledger: Ledger;
  sink: FeedSink;
  clock: Clock;
  entropy: Entropy;
  log: Logger;
  /** Most records in one write. */
  batchRecords?: number;
}

const BATCH_RECORDS = 500;
/** Finds what another process committed: a notification is only ever a shortcut. */
const POLL_MS = 1000;
const BACKOFF_FIRST_MS = 250;
const BACKOFF_MAX_MS = 30_000;
/** The longest wait that a destination can ask for. */
const RETRY_AFTER_MAX_MS = 3_600_000;
/** How long `stop` lets a batch in hand finish, which saves the repeats. */
const STOP_GRACE_MS = 5000;

export function createFeed(options: FeedOptions): Feed {
  return new LedgerFeed(options);
}

class LedgerFeed implements Feed {
  readonly name: string;
  readonly #ledger: Ledger;
  readonly #sink: FeedSink;
  readonly #clock: Clock;
  readonly #entropy: Entropy;
  readonly #log: Logger;
  readonly #batchRecords: number;
  readonly #stopping = new AbortController();
  #running: Promise<void> | null = null;
  #stopped: Promise<void> | null = null;
  /** Cuts the wait for the next poll short. */
  #wake = new AbortController();
  /** Read and not yet handed over; kept through failures, so that what is tried again is the same batch. One page at most. */
  #inHand: readonly LedgerRecord[] = [];
  #phase: FeedPhase = 'following';
  #cursor = 0;
  #savedCursor = 0;
  #written = 0;
  #failures = 0;
  #lastError: string | null = null;

  constructor(options: FeedOptions) {
    this.name = options.name;
    this.#ledger = options.ledger;
    this.#sink = options.sink;
    this.#clock = options.clock;
    this.#entropy = options.entropy;
    this.#log = options.log;
    this.#batchRecords = options.batchRecords ?? BATCH_RECORDS;
  }

  async start(): Promise<void> {
    this.#cursor = await this.#ledger.loadCursor(this.name);
    this.#savedCursor = this.#cursor;
    this.#running = this.#follow();
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  notify(): void {
    this.#wake.abort();
  }

  state(): FeedState {
    return {
      name: this.name,
      phase: this.#phase,
      cursor: this.#cursor,
      written: this.#written,
      failures: this.#failures,
      lastError: this.#lastError,
    };
  }

  async #stop(): Promise<void> {
    this.#stopping.abort();
    this.#wake.abort();
    const graceOver = new AbortController();
    await Promise.race([this.#running, this.#clock.sleep(STOP_GRACE_MS, graceOver.signal)]);
    graceOver.abort();
    await this.#sink.close();
    await this.#running;
  }

  /** Ends by `stop`, or when the destination is gone for good. */
  async #follow(): Promise<void> {
    let backoffMs = BACKOFF_FIRST_MS;
    while (!this.#stopping.signal.aborted && this.#phase !== 'gone') {
      // Renewed before the read: a notification that comes during it makes the wait below end at once.
      this.#wake = new AbortController();
      try {
        const advanced = await this.#advance();
        if (this.#lastError !== null) this.#log.info({ event: 'feed.recovered', feed: this.name });
        this.#lastError = null;
        this.#phase = 'following';
        backoffMs = BACKOFF_FIRST_MS;
        if (!advanced) await this.#waitForRecords();
      } catch (error) {
        await this.#failed(error, backoffMs);
        backoffMs = Math.min(backoffMs * 2, BACKOFF_MAX_MS);
      }
    }
  }

  /** Says so, and waits: between half of `backoffMs` and all of it, or longer where the destination asked for it. */
  async #failed(error: unknown, backoffMs: number): Promise<void> {
    const { gone, retryAfterMs } = error instanceof DeliveryError ? error : new DeliveryError('');
    this.#failures += 1;
    this.#lastError = errorText(error);
    this.#phase = gone ? 'gone' : 'retrying';
    if (gone) {
      this.#log.error({ event: 'feed.gone', feed: this.name, error: this.#lastError });
      return;
    }
    const ownMs = backoffMs * (0.5 + this.#entropy.float() / 2);
    const retryMs = Math.max(ownMs, Math.min(retryAfterMs ?? 0, RETRY_AFTER_MAX_MS));
    this.#log.warn({ event: 'feed.failed', feed: this.name, retryMs, error: this.#lastError });
    await this.#clock.sleep(retryMs, this.#stopping.signal);
  }

  /** Brings one batch over; false when there was none. */
  async #advance(): Promise<boolean> {
    await this.#saveCursor();
    if (this.#inHand.length === 0) this.#inHand = await this.#ledger.read(this.#cursor, this.#batchRecords);
    if (this.#inHand.length === 0) return false;
    const count = await this.#sink.write(this.#inHand);
    const last = this.#inHand[count - 1];
    if (!last) throw new Error('the destination took no record and told no failure');
    this.#inHand = this.#inHand.slice(count);
    this.#written += count;
    this.#cursor = last.offset;
    await this.#saveCursor();
    return true;
  }

  async #saveCursor(): Promise<void> {
    if (this.#savedCursor === this.#cursor) return;
    await this.#ledger.saveCursor(this.name, this.#cursor);
    this.#savedCursor = this.#cursor;
  }

  async #waitForRecords(): Promise<void> {
    if (!this.#stopping.signal.aborted) await this.#clock.sleep(POLL_MS, this.#wake.signal);
  }
}
