/**
 * Feeds follow the ledger by offset, each with its own position and at its own pace: a slow feed delays no
 * other.
 *
 * Delivery is at least once. The position moves only after the destination has stored the batch, so a crash
 * between the two repeats records and skips none. A destination that must not see repeats drops them by
 * (gateway, epoch, stream, seq).
 */
import { Backoff } from '../../shared/backoff.ts';
import type { Clock } from '../../shared/clock.ts';
import type { Entropy } from '../../shared/entropy.ts';
import { errorText, type Logger } from '../../shared/log.ts';
import type { Service } from '../../shared/service.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { FeedPosition, LedgerRecord } from '../ledger/types.ts';
import { Answers } from './answers.ts';
import type { HoldBackLimits } from './hold-back.ts';
import { openHoldBackReader } from './hold-back-reader.ts';
import { FeedLease } from './lease.ts';
import { type FeedReader, OffsetReader, START } from './reader.ts';
import { Refusals, type RefusedRecord } from './refusals.ts';
import { DeliveryError, type FeedSink } from './sink.ts';

/**
 * `following`: records go out as the ledger takes them. `retrying`: the destination or the ledger failed; the
 * feed tries again after a pause. `standby`: another router runs the feed; this router takes over when that
 * one ends. `gone`: the destination asked for no more records; the feed sends none until the router restarts.
 */
export type FeedPhase = 'following' | 'retrying' | 'standby' | 'gone';

export interface FeedState {
  name: string;
  phase: FeedPhase;
  /** The destination has every record up to this offset. */
  cursor: number;
  /** Records held back until the earlier records of their streams arrive. */
  held: number;
  /** Records written since the start, repeats included. */
  written: number;
  failures: number;
  /** Error of the last try; null when it succeeded. */
  lastError: string | null;
  /** The one record that the destination refuses, and that holds the feed up; null without one. */
  refused: RefusedRecord | null;
  /** Records in quarantine, as far as this router has read the list. */
  quarantined: number;
}

export interface FeedOptions {
  /** The ledger keeps the position under this name. */
  name: string;
  ledger: Ledger;
  sink: FeedSink;
  clock: Clock;
  entropy: Entropy;
  log: Logger;
  /** Most records in one write. */
  batchRecords?: number;
  /** Null, the default: the order in which the ledger took the records. */
  holdBack?: HoldBackLimits | null;
  /** Refusals after which a record goes into quarantine; null, the default: never. */
  quarantineAfter?: number | null;
  /** How long the lease of a killed router keeps other routers from running the feed. */
  leaseMs?: number;
}

const BATCH_RECORDS = 500;
const LEASE_MS = 15_000;
const HOLDER_BYTES = 8;
/** The poll finds the commits of other processes; a notification only saves its wait. */
const POLL_MS = 1000;
const BACKOFF = { firstMs: 250, lastMs: 30_000 };
/** The longest pause that a destination can ask for. */
const RETRY_AFTER_MAX_MS = 3_600_000;
/**
 * A destination that answers nothing for so long is reported as silent, before its deadline ends the write.
 */
const SILENT_MS = 8000;
/** How often an idle destination is asked whether it is there. */
const CHECK_MS = 5000;
/** How long `stop` lets the current batch finish, which saves its repetition. */
const STOP_GRACE_MS = 5000;

export class Feed implements Service {
  readonly name: string;
  readonly #ledger: Ledger;
  readonly #sink: FeedSink;
  readonly #clock: Clock;
  readonly #backoff: Backoff;
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
   * The current batch, one page at most. It is kept through failures, so that a retry sends the same batch.
   */
  #inHand: readonly LedgerRecord[] = [];
  #phase: FeedPhase = 'standby';
  /** The destination has everything up to here. */
  #position = START;
  /** The position that the ledger keeps: behind `#position` between a write and its save. */
  #saved = START;
  #written = 0;
  #failures = 0;
  #lastError: string | null = null;
  readonly #refusals: Refusals;
  readonly #answers: Answers;
  /** The position was set by hand: the next step begins with a claim. */
  #isMoved: boolean = false;

  constructor(options: FeedOptions) {
    this.name = options.name;
    this.#ledger = options.ledger;
    this.#sink = options.sink;
    this.#clock = options.clock;
    this.#backoff = new Backoff(BACKOFF, options.entropy);
    this.#log = options.log;
    this.#batchRecords = options.batchRecords ?? BATCH_RECORDS;
    this.#holdBack = options.holdBack ?? null;
    this.#answers = new Answers(options.clock);
    const { ledger, sink, clock, log, quarantineAfter = null } = options;
    const answers = this.#answers;
    this.#refusals = new Refusals({ feed: this.name, ledger, sink, answers, clock, log, quarantineAfter });
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

  /** The ledger may have new records: ends the wait for the next poll. */
  notify(): void {
    this.#wake.abort();
  }

  state(): FeedState {
    const silentMs = this.#answers.silentMs();
    const isSilent = silentMs >= SILENT_MS && this.#phase !== 'standby';
    return {
      name: this.name,
      phase: isSilent ? 'retrying' : this.#phase,
      cursor: this.#position.offset,
      held: this.#reader.held,
      written: this.#written,
      failures: this.#failures,
      lastError: isSilent ? `no answer for ${Math.round(silentMs / 1000)} s` : this.#lastError,
      refused: this.#refusals.refused,
      quarantined: this.#refusals.quarantined,
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

  /** Runs until `stop`, or until the destination is gone for good. */
  async #follow(): Promise<void> {
    while (!this.#stopping.signal.aborted && this.#phase !== 'gone') {
      // Renewed before the read: a notification that comes during it makes the wait below end at once.
      this.#wake = new AbortController();
      try {
        const moved = await this.#step();
        if (this.#phase === 'following' && this.#lastError !== null) {
          this.#log.info({ event: 'feed.recovered', feed: this.name });
        }
        this.#lastError = null;
        this.#backoff.reset();
        if (!moved) await this.#wait();
      } catch (error) {
        if (error instanceof PositionMoved) this.#isMoved = true;
        else await this.#failed(error);
      }
    }
  }

  /** False when there is nothing to do for now. */
  async #step(): Promise<boolean> {
    // Each new try begins with a claim, which also shows whether the position was set by hand meanwhile.
    const isClaimed = this.#phase === 'following' && this.#lease.valid() && !this.#isMoved;
    if (!isClaimed && !(await this.#claim())) return false;
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
    const here = (await this.#answers.to(this.#sink.position?.(found, this.#ledger))) ?? known;
    this.#isMoved = false;
    if (!this.#opened || !samePosition(here, this.#position)) {
      this.#inHand = [];
      this.#refusals.reset();
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
   * Logs the failure and waits for the pause of the backoff, or longer where the destination asked for it.
   */
  async #failed(error: unknown): Promise<void> {
    const { gone, retryAfterMs } = error instanceof DeliveryError ? error : new DeliveryError('');
    this.#failures += 1;
    this.#lastError = errorText(error);
    this.#phase = gone ? 'gone' : 'retrying';
    if (gone) {
      this.#log.error({ event: 'feed.gone', feed: this.name, error: this.#lastError });
      return;
    }
    if (error instanceof DeliveryError && (await this.#isHalved(error))) return;
    const retryMs = Math.max(this.#backoff.failed(), Math.min(retryAfterMs ?? 0, RETRY_AFTER_MAX_MS));
    this.#log.warn({ event: 'feed.failed', feed: this.name, retryMs, error: this.#lastError });
    const endsMs = this.#clock.monoMs() + retryMs;
    while (!this.#stopping.signal.aborted && !(await this.#wasMoved())) {
      const leftMs = endsMs - this.#clock.monoMs();
      if (leftMs <= 0) break;
      await this.#clock.sleep(Math.min(leftMs, POLL_MS), this.#stopping.signal);
    }
  }

  /** After a failed write: true when the next one is smaller or of other records, and may leave at once. */
  async #isHalved(error: DeliveryError): Promise<boolean> {
    const { isHalved, isNamed, isOften } = this.#refusals.judge(
      error,
      this.#inHand,
      this.#backoff.failures + 1,
    );
    if (isNamed) await this.#saveLooked();
    return isHalved || (isOften && (await this.#isPassedOver()));
  }

  /** True when the first record in hand went into quarantine. */
  async #isPassedOver(): Promise<boolean> {
    try {
      if (!(await this.#refusals.quarantine(this.#inHand, this.#position))) return false;
      const after = this.#reader.after(1);
      await this.#sink.setPosition?.(after);
      this.#passed(1, after);
      await this.#save();
      return true;
    } catch {
      // Destination or ledger are away: the next step, after the pause, finds that out and reports it.
      return false;
    }
  }

  /** Makes the saved position know the record in hand, so that `headgate feeds skip` passes over it alone. */
  async #saveLooked(): Promise<void> {
    try {
      this.#position = this.#reader.after(0);
      await this.#sink.setPosition?.(this.#position);
      await this.#save();
    } catch {
      // Destination or ledger are away: the next step, after the pause, finds that out and reports it.
    }
  }

  /** Whether the position was set by hand since it was saved. A ledger that is away tells nothing. */
  async #wasMoved(): Promise<boolean> {
    if (this.#phase === 'standby' || !this.#opened) return false;
    try {
      const found = await this.#ledger.loadFeedPosition(this.name);
      this.#isMoved ||= !samePosition(found, this.#saved);
    } catch {
      // The next step finds the ledger away and reports it.
    }
    return this.#isMoved;
  }

  /** Delivers one batch; false when there was none. */
  async #advance(): Promise<boolean> {
    await this.#save();
    await this.#refusals.retryDue(this.#position);
    const reader = this.#reader;
    if (this.#inHand.length === 0) this.#inHand = await reader.next(this.#batchRecords);
    if (this.#inHand.length === 0) {
      // The reader may have looked at records and held them. A destination that keeps the position itself
      // moves it with records only.
      if (!this.#sink.position) this.#position = reader.after(0);
      await this.#save();
      if (this.#answers.unprovenMs() >= CHECK_MS) await this.#answers.to(this.#sink.check?.());
      return false;
    }
    const records = this.#inHand.slice(0, this.#refusals.limit);
    const move = { from: this.#position, after: (written: number) => reader.after(written) };
    const count = (await this.#answers.to(this.#sink.write(records, move))) ?? 0;
    if (count < 1) throw new Error('the destination took no record and reported no failure');
    this.#written += count;
    this.#passed(count, reader.after(count));
    await this.#save();
    return true;
  }

  /** The first `count` records in hand are delivered, or passed over. */
  #passed(count: number, after: FeedPosition): void {
    this.#refusals.passed(count);
    this.#inHand = this.#inHand.slice(count);
    this.#position = after;
    this.#reader.handed(count);
  }

  async #save(): Promise<void> {
    if (samePosition(this.#saved, this.#position)) return;
    if (!(await this.#ledger.moveFeedPosition(this.name, this.#saved, this.#position))) {
      throw new PositionMoved();
    }
    this.#saved = this.#position;
  }

  /** Waits for records; on standby, for the lease, and then notifications do not end the wait. */
  async #wait(): Promise<void> {
    if (this.#stopping.signal.aborted) return;
    const signal = this.#phase === 'standby' ? this.#stopping.signal : this.#wake.signal;
    await this.#clock.sleep(POLL_MS, signal);
    await this.#wasMoved();
  }
}

/** The ledger's position is not the saved one: an operator has set it, or another router runs the feed. */
class PositionMoved extends Error {}

function samePosition(a: FeedPosition, b: FeedPosition): boolean {
  return a.offset === b.offset && Buffer.compare(a.progress, b.progress) === 0;
}
