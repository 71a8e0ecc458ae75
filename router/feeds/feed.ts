/**
 * Feeds follow the ledger by offset, each with its own cursor, at its own pace: one that is slow or down
 * holds up no other.
 *
 * At least once: the cursor moves only after the destination has the batch for good, so a crash between the
 * two repeats records and never skips one. A destination that must not see repeats drops them by (gateway,
 * epoch, stream, seq).
 */
import type { Clock } from '../../shared/clock.ts';
import type { Entropy } from '../../shared/entropy.ts';
import { errorText, type Logger } from '../../shared/log.ts';
import type { Service } from '../../shared/service.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { FeedPosition, LedgerRecord } from '../ledger/types.ts';
import type { HoldBackLimits } from './hold-back.ts';
import { openHoldBackReader } from './hold-back-reader.ts';
import { FeedLease } from './lease.ts';
import { type FeedReader, OffsetReader, START } from './reader.ts';
import { DeliveryError, type FeedSink } from './sink.ts';

/**
 * `following`: what is in the ledger goes out as it comes. `retrying`: the last try failed, of the
 * destination or of the ledger; it is tried again. `standby`: another router runs the feed, and this one
 * takes over when that one ends. `gone`: the destination wants no more records, and gets none until the
 * router is started again.
 */
export type FeedPhase = 'following' | 'retrying' | 'standby' | 'gone';

export interface FeedState {
  name: string;
  phase: FeedPhase;
  /** Every record up to this offset is at the destination. */
  cursor: number;
  /** Records held back until those before them are there. */
  held: number;
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
  /** Null, the default, for the order in which the ledger took the records. */
  holdBack?: HoldBackLimits | null;
  /** How long a router that was killed keeps others from running the feed. */
  leaseMs?: number;
}

const BATCH_RECORDS = 500;
const LEASE_MS = 15_000;
const HOLDER_BYTES = 8;
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
  readonly #lease: FeedLease;
  readonly #holdBack: HoldBackLimits | null;
  #reader: FeedReader;
  /** Whether the reader stands at `#position`. */
  #opened: boolean = false;
  readonly #stopping = new AbortController();
  #running: Promise<void> | null = null;
  #stopped: Promise<void> | null = null;
  /** Cuts the wait for the next poll short. */
  #wake = new AbortController();
  /**
   * Read and not yet handed over; kept through failures, so that what is tried again is the same batch. One
   * page at most.
   */
  #inHand: readonly LedgerRecord[] = [];
  #phase: FeedPhase = 'standby';
  /** Where the destination is. */
  #position = START;
  /** Where the ledger says it is: behind `#position` between a write and its save. */
  #saved = START;
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
    this.#holdBack = options.holdBack ?? null;
    this.#reader = new OffsetReader(options.ledger, START);
    this.#lease = new FeedLease({
      feed: options.name,
      holder: Buffer.from(options.entropy.bytes(HOLDER_BYTES)).toString('hex'),
      ledger: options.ledger,
      clock: options.clock,
      leaseMs: options.leaseMs ?? LEASE_MS,
    });
  }

  async start(): Promise<void> {
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
      cursor: this.#position.offset,
      held: this.#reader.held,
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
    try {
      await this.#lease.release();
    } catch (error) {
      this.#log.warn({ event: 'feed.not_released', feed: this.name, error: errorText(error) });
    }
  }

  /** Ends by `stop`, or when the destination is gone for good. */
  async #follow(): Promise<void> {
    let backoffMs = BACKOFF_FIRST_MS;
    while (!this.#stopping.signal.aborted && this.#phase !== 'gone') {
      // Renewed before the read: a notification that comes during it makes the wait below end at once.
      this.#wake = new AbortController();
      try {
        const moved = await this.#step();
        if (this.#phase === 'following' && this.#lastError !== null) {
          this.#log.info({ event: 'feed.recovered', feed: this.name });
        }
        this.#lastError = null;
        backoffMs = BACKOFF_FIRST_MS;
        if (!moved) await this.#wait();
      } catch (error) {
        await this.#failed(error, backoffMs);
        backoffMs = Math.min(backoffMs * 2, BACKOFF_MAX_MS);
      }
    }
  }

  /** False when there is nothing to do for now. */
  async #step(): Promise<boolean> {
    // Each new try begins with a claim, which also tells when the position was set anew in the meantime.
    if ((this.#phase !== 'following' || !this.#lease.valid()) && !(await this.#claim())) return false;
    const advanced = await this.#advance();
    this.#phase = 'following';
    return advanced;
  }

  /** False while another router runs the feed. */
  async #claim(): Promise<boolean> {
    const found = await this.#lease.claim();
    if (found === null) {
      this.#phase = 'standby';
      return false;
    }
    if (this.#phase === 'standby') this.#phase = 'following';
    const known = samePosition(found, this.#saved) ? this.#position : found;
    const here = (await this.#sink.position?.(found, this.#ledger)) ?? known;
    if (!this.#opened || !samePosition(here, this.#position)) {
      this.#inHand = [];
      this.#opened = false;
      this.#reader = await this.#open(here);
      this.#opened = true;
    }
    this.#position = here;
    this.#saved = found;
    return true;
  }

  async #open(position: FeedPosition): Promise<FeedReader> {
    const ledger = this.#ledger;
    if (this.#holdBack === null) return new OffsetReader(ledger, position);
    const options = { ledger, clock: this.#clock, limits: this.#holdBack, signal: this.#stopping.signal };
    return openHoldBackReader(options, position);
  }

  /**
   * Says so, and waits: between half of `backoffMs` and all of it, or longer where the destination asked for
   * it.
   */
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
    await this.#save();
    const reader = this.#reader;
    if (this.#inHand.length === 0) this.#inHand = await reader.next(this.#batchRecords);
    if (this.#inHand.length === 0) {
      // Some may have been looked at and held. A destination that keeps the position moves it with records
      // only.
      if (!this.#sink.position) this.#position = reader.after(0);
      await this.#save();
      return false;
    }
    const count = await this.#sink.write(this.#inHand, {
      from: this.#position,
      after: (written) => reader.after(written),
    });
    if (count < 1) throw new Error('the destination took no record and told no failure');
    this.#inHand = this.#inHand.slice(count);
    this.#written += count;
    this.#position = reader.after(count);
    reader.handed(count);
    await this.#save();
    return true;
  }

  async #save(): Promise<void> {
    if (samePosition(this.#saved, this.#position)) return;
    if (!(await this.#ledger.moveFeedPosition(this.name, this.#saved, this.#position))) {
      throw new Error('the position was set by someone else');
    }
    this.#saved = this.#position;
  }

  /** For records; on standby for the lease, and then a notification is none of its business. */
  async #wait(): Promise<void> {
    if (this.#stopping.signal.aborted) return;
    const signal = this.#phase === 'standby' ? this.#stopping.signal : this.#wake.signal;
    await this.#clock.sleep(POLL_MS, signal);
  }
}

function samePosition(a: FeedPosition, b: FeedPosition): boolean {
  return a.offset === b.offset && Buffer.compare(a.progress, b.progress) === 0;
}
