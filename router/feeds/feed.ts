/**
 * Feeds follow the ledger by offset, each with its own cursor, at its own pace: one that is slow or down holds up no other.
 *
 * At least once: the cursor moves only after the destination has the batch for good, so a crash between the two repeats
 * records and never skips one. A destination that must not see repeats drops them by (gateway, epoch, stream, seq).
 */
import type { Clock } from '../../shared/clock.ts';
import { errorText, type Logger } from '../../shared/log.ts';
import type { Service } from '../../shared/service.ts';
import type { Ledger, LedgerRecord } from '../ledger/ledger.ts';

/** Where a feed takes its records to. Called by one feed, one batch at a time. */
export interface FeedSink {
  /** Resolves when the destination has all of `records` durably; rejects when it may not: they come again. */
  write(records: readonly LedgerRecord[]): Promise<void>;
  /** Lets go of everything; a write under way settles soon. The sink is not used again. */
  close(): Promise<void>;
}

export interface FeedState {
  name: string;
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
  log: Logger;
  /** Most records in one write. */
  batchRecords?: number;
}

const BATCH_RECORDS = 500;
/** Finds what another process committed: a notification is only ever a shortcut. */
const POLL_MS = 1000;
const BACKOFF_FIRST_MS = 250;
const BACKOFF_MAX_MS = 30_000;
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
  readonly #log: Logger;
  readonly #batchRecords: number;
  readonly #stopping = new AbortController();
  #running: Promise<void> | null = null;
  #stopped: Promise<void> | null = null;
  /** Cuts the wait for the next poll short. */
  #wake = new AbortController();
  #cursor = 0;
  #written = 0;
  #failures = 0;
  #lastError: string | null = null;

  constructor(options: FeedOptions) {
    this.name = options.name;
    this.#ledger = options.ledger;
    this.#sink = options.sink;
    this.#clock = options.clock;
    this.#log = options.log;
    this.#batchRecords = options.batchRecords ?? BATCH_RECORDS;
  }

  async start(): Promise<void> {
    this.#cursor = await this.#ledger.loadCursor(this.name);
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

  /** Ends only by `stop`. */
  async #follow(): Promise<void> {
    let backoffMs = BACKOFF_FIRST_MS;
    while (!this.#stopping.signal.aborted) {
      // Renewed before the read: a notification that comes during it makes the wait below end at once.
      this.#wake = new AbortController();
      try {
        const advanced = await this.#advance();
        if (this.#lastError !== null) this.#log.info({ event: 'feed.recovered', feed: this.name });
        this.#lastError = null;
        backoffMs = BACKOFF_FIRST_MS;
        if (!advanced) await this.#waitForRecords();
      } catch (error) {
        this.#failures += 1;
        this.#lastError = errorText(error);
        this.#log.warn({ event: 'feed.failed', feed: this.name, retryMs: backoffMs, error: this.#lastError });
        await this.#clock.sleep(backoffMs, this.#stopping.signal);
        backoffMs = Math.min(backoffMs * 2, BACKOFF_MAX_MS);
      }
    }
  }

  /** Brings one batch over; false when there was none. */
  async #advance(): Promise<boolean> {
    const records = await this.#ledger.read(this.#cursor, this.#batchRecords);
    const last = records.at(-1);
    if (!last) return false;
    await this.#sink.write(records);
    this.#written += records.length;
    await this.#ledger.saveCursor(this.name, last.offset);
    this.#cursor = last.offset;
    return true;
  }

  async #waitForRecords(): Promise<void> {
    if (!this.#stopping.signal.aborted) await this.#clock.sleep(POLL_MS, this.#wake.signal);
  }
}
