/**
 * The records that a destination refuses: finds the one at fault, names it, and puts it into quarantine after
 * a number of refusals, so that the others flow.
 */
import type { Clock } from '../../shared/clock.ts';
import type { Logger } from '../../shared/log.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { FeedPosition, LedgerRecord } from '../ledger/types.ts';
import type { Answers } from './answers.ts';
import { Bisection } from './bisection.ts';
import { idOf, QUARANTINED_MAX, Quarantine } from './quarantine.ts';
import { DeliveryError, type FeedSink } from './sink.ts';

export interface RefusedRecord {
  /** `gateway/epoch/stream/seq`. */
  id: string;
  offset: number;
  error: string;
  /** Refusals of the record alone. */
  tries: number;
}

/** The consequence of a failed write. */
export interface Verdict {
  /** The next write is smaller, and may leave at once. */
  isHalved: boolean;
  /** One record stands alone, and was not named before. */
  isNamed: boolean;
  /** It was refused as often as the quarantine asks for. */
  isOften: boolean;
}

export interface RefusalsOptions {
  feed: string;
  ledger: Ledger;
  sink: FeedSink;
  answers: Answers;
  clock: Clock;
  log: Logger;
  /** Refusals after which a record goes into quarantine; null: never. */
  quarantineAfter: number | null;
}

/** After so many failures in a row a record is suspected, where the destination does not say so. */
const SUSPICIOUS_FAILURES = 3;
/** How often the list in quarantine is read while it has records. */
const LIST_MS = 1000;
const NOTHING: Verdict = { isHalved: false, isNamed: false, isOften: false };

export class Refusals {
  readonly #options: RefusalsOptions;
  readonly #bisection = new Bisection();
  readonly #quarantine: Quarantine;
  #refused: RefusedRecord | null = null;
  /** Whether it was refused for certain, the last time. */
  #isCertain: boolean = false;
  #listedMs = Number.NEGATIVE_INFINITY;

  constructor(options: RefusalsOptions) {
    this.#options = options;
    this.#quarantine = new Quarantine(options.ledger, options.feed);
  }

  /** Most records of the next write. */
  get limit(): number {
    return this.#bisection.limit;
  }

  /** The record that stands alone and is refused. */
  get refused(): RefusedRecord | null {
    return this.#refused;
  }

  /** Records in quarantine, as far as the list was read. */
  get quarantined(): number {
    return this.#quarantine.records.length;
  }

  /** The next write is of other records. */
  reset(): void {
    this.#bisection.reset();
    this.#refused = null;
  }

  /** The first `count` records are delivered, or passed over. */
  passed(count: number): void {
    this.#bisection.accepted(count);
    this.#refused = null;
  }

  /** `failures` in a row, this one included. */
  judge(error: DeliveryError, inHand: readonly LedgerRecord[], failures: number): Verdict {
    const { refusal, records, message } = error;
    const isSuspected = refusal === 'suspected' && failures >= SUSPICIOUS_FAILURES;
    const [first] = inHand;
    if (!first || (refusal !== 'certain' && !isSuspected)) return NOTHING;
    const count = Math.min(records ?? Number.POSITIVE_INFINITY, this.limit, inHand.length);
    this.#bisection.refused(count);
    if (count > 1) return { ...NOTHING, isHalved: refusal === 'certain' };
    const before = this.#refused;
    const isNamed = before?.offset !== first.offset;
    const tries = isNamed ? 1 : before.tries + 1;
    const { feed, log, quarantineAfter } = this.#options;
    if (isNamed) log.error({ event: 'feed.record_refused', feed, record: idOf(first), error: message });
    this.#refused = { id: idOf(first), offset: first.offset, error: message, tries };
    this.#isCertain = refusal === 'certain';
    return { isHalved: false, isNamed, isOften: quarantineAfter !== null && tries >= quarantineAfter };
  }

  /**
   * Puts the refused record, the first in hand, into quarantine: true when it is listed. A record that is
   * only suspected must be at fault: the destination takes the one behind it.
   */
  async quarantine(inHand: readonly LedgerRecord[], here: FeedPosition): Promise<boolean> {
    const { feed, clock, log } = this.#options;
    const [record, next] = inHand;
    const refused = this.#refused;
    if (record === undefined || refused === null) return false;
    if (!this.#isCertain && (next === undefined || !(await this.#isTaken(next, here)))) return false;
    const { id, offset, error, tries } = refused;
    if (!(await this.#quarantine.add(record, { error, tries, wallMs: clock.wallMs() }))) {
      log.error({ event: 'feed.quarantine_full', feed, records: QUARANTINED_MAX });
      return false;
    }
    log.error({ event: 'feed.record_quarantined', feed, record: id, offset, tries, error });
    return true;
  }

  /**
   * Sends the records in quarantine that an operator wants sent again, out of their order. Rejects when the
   * destination or the ledger fails for another reason than the record.
   */
  async retryDue(here: FeedPosition): Promise<void> {
    const nowMs = this.#options.clock.monoMs();
    const isRead = this.#listedMs > Number.NEGATIVE_INFINITY;
    if (isRead && (this.quarantined === 0 || nowMs - this.#listedMs < LIST_MS)) return;
    const due = (await this.#quarantine.load()).filter(({ isDue }) => isDue);
    this.#listedMs = nowMs;
    for (const { offset, id } of due) await this.#retry(offset, id, here);
  }

  async #retry(offset: number, id: string, here: FeedPosition): Promise<void> {
    const { feed, ledger, log } = this.#options;
    const [record] = await ledger.read(offset - 1, 1);
    try {
      // A record that has left the ledger leaves the list, too.
      const isThere = record?.offset === offset;
      if (isThere) await this.#isTaken(record, here);
      await this.#quarantine.replace(offset, () => null);
      log.info({ event: 'feed.quarantine_left', feed, record: id, isThere });
    } catch (error) {
      if (!(error instanceof DeliveryError) || error.refusal === 'none') throw error;
      const { message } = error;
      await this.#quarantine.replace(offset, (one) => ({
        ...one,
        error: message,
        tries: one.tries + 1,
        isDue: false,
      }));
      log.warn({ event: 'feed.quarantine_stays', feed, record: id, error: message });
    }
  }

  /** Sends a record without moving the feed. Rejects as the destination does. */
  async #isTaken(record: LedgerRecord, here: FeedPosition): Promise<boolean> {
    const { answers, sink } = this.#options;
    const move = { from: here, after: () => here };
    return (await answers.to(sink.write([record], move))) === 1;
  }
}
