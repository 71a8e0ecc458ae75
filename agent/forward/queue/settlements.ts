/**
 * Applies acceptances and receipts to the buffer: which rows are free, and which gaps and ends are delivered
 * (I3). In a stream with `until: receipt`, the provider's acceptance is only noted, and the receipt settles.
 */
import type { Clock } from '../../../shared/clock.ts';
import type { Envelope } from '../../../shared/envelope/envelope.ts';
import { IntervalSet } from '../../../shared/interval-set.ts';
import { errorText, type Logger } from '../../../shared/log.ts';
import { committedBy, coveredBy, type StreamReceipt } from '../../../shared/receipt.ts';
import type { SeqRange } from '../../../shared/record.ts';
import type { StreamState } from '../../store/types.ts';
import type { Buffer } from '../buffer.ts';
import type { Stream } from './stream.ts';
import { StreamQueue } from './stream-queue.ts';

export interface SettlementsOptions {
  store: Pick<Buffer, 'accept' | 'acceptGap' | 'acceptSeal'>;
  clock: Clock;
  log: Logger;
  /** Whether receipts come: acknowledged records are then remembered until a receipt covers them. */
  receipts: boolean;
}

export class Settlements {
  readonly #store: SettlementsOptions['store'];
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #receipts: boolean;
  /** Queues with rows that the ledger was told to be given up. */
  readonly #disputed = new WeakSet<StreamQueue>();

  constructor({ store, clock, log, receipts }: SettlementsOptions) {
    this.#store = store;
    this.#clock = clock;
    this.#log = log;
    this.#receipts = receipts;
  }

  /**
   * Makes a queue from the store's state after opening. The stream may have fewer copies than when the file
   * was closed: rows with enough copies are reported again, which frees them.
   */
  queueOf({ policy }: Stream, state: StreamState): StreamQueue {
    const queue = new StreamQueue(state);
    const { epoch, stream } = state;
    const copies = policy.redundancy;
    const untilReceipt = policy.until === 'receipt';
    for (const [provider, accepted] of state.accepted) {
      for (const { first, last } of accepted.ranges()) {
        queue.accepted(provider, first, last, copies, untilReceipt);
        this.#remember(queue, provider, { first, last });
        void this.#store.accept({ epoch, stream, provider, first, last, copies, untilReceipt });
      }
    }
    return queue;
  }

  /** A provider took an envelope. `range`: the run of its records, null for an envelope without records. */
  accepted(
    stream: Stream,
    queue: StreamQueue,
    range: SeqRange | null,
    envelope: Envelope,
    provider: string,
  ): void {
    const { epoch } = queue;
    const { redundancy: copies, until } = stream.policy;
    const untilReceipt = until === 'receipt';
    if (range) {
      const { first, last } = range;
      queue.accepted(provider, first, last, copies, untilReceipt);
      this.#free(
        queue,
        this.#store.accept({ epoch, stream: stream.name, provider, first, last, copies, untilReceipt }),
      );
      if (this.#receipts) this.#rememberAll(queue, provider, envelope);
      if (untilReceipt) this.release(queue, queue.received(null, copies), copies);
      const recovery = stream.recovered(queue, range, this.#clock.monoMs());
      if (recovery && recovery.from !== provider) {
        this.#log.info({ event: 'forward.recovered', stream: stream.name, epoch, to: provider, ...recovery });
      }
    }
    this.#told(queue, envelope, provider, untilReceipt);
  }

  /** The stream has other rules: rows and announcements that these let go leave the buffer. */
  underNewRules({ policy }: Stream, queue: StreamQueue): void {
    const { epoch, stream } = queue;
    const copies = policy.redundancy;
    const untilReceipt = policy.until === 'receipt';
    for (const { provider, first, last } of queue.holders()) {
      queue.accepted(provider, first, last, copies, untilReceipt);
      this.#free(queue, this.#store.accept({ epoch, stream, provider, first, last, copies, untilReceipt }));
    }
    if (untilReceipt) return;
    // No receipt frees them any more.
    this.release(queue, queue.takeKept(), 1);
    const { gaps, sealedAt } = queue.unconfirmed.takeOverdue(Number.POSITIVE_INFINITY);
    for (const { first, last } of gaps) this.#free(queue, this.#store.acceptGap(epoch, stream, first, last));
    if (sealedAt !== null) this.#free(queue, this.#store.acceptSeal(epoch, stream));
  }

  /** No other provider takes these rows: their present copies suffice. */
  enough(stream: Stream, queue: StreamQueue, { first, last }: SeqRange, holders: ReadonlySet<string>): void {
    const { epoch } = queue;
    const copies = holders.size;
    const untilReceipt = stream.policy.until === 'receipt';
    for (const provider of holders) {
      queue.accepted(provider, first, last, copies, untilReceipt);
      this.#free(
        queue,
        this.#store.accept({ epoch, stream: stream.name, provider, first, last, copies, untilReceipt }),
      );
    }
  }

  /**
   * Applies a receipt of the router to this queue. Returns when the newest record that it is the first to
   * cover was acknowledged.
   */
  received({ policy }: Stream, queue: StreamQueue, receipt: StreamReceipt, isNewest: boolean): number | null {
    const covered = coveredBy(receipt);
    if (policy.until !== 'receipt') return queue.outstanding.forget(covered);
    // This gateway gave up no row that it still has: such a row is owed, whatever the ledger was told.
    const disputed = queue.rowsWithin(receipt.givenUp);
    this.#tellDisputed(queue, disputed);
    const known = covered.clone();
    for (const { first, last } of disputed) known.remove(first, last);
    const newestMs = queue.outstanding.forget(known);
    const { redundancy } = policy;
    const committed = committedBy(receipt);
    this.release(queue, queue.received(committed, redundancy, isNewest), redundancy);
    const { gaps, end } = queue.unconfirmed.confirmed(covered, receipt.sealedAt);
    for (const { first, last } of gaps)
      this.#free(queue, this.#store.acceptGap(queue.epoch, queue.stream, first, last));
    if (end) this.#free(queue, this.#store.acceptSeal(queue.epoch, queue.stream));
    return newestMs;
  }

  /** Once for each queue: the receipts repeat it until the rows have arrived. */
  #tellDisputed(queue: StreamQueue, [range]: readonly SeqRange[]): void {
    if (range === undefined || this.#disputed.has(queue)) return;
    this.#disputed.add(queue);
    const { epoch, stream } = queue;
    this.#log.warn({ event: 'receipts.given_up_elsewhere', stream, epoch, ...range });
  }

  /** Settles the gaps and the end of the epoch that the envelope announced. */
  #told(queue: StreamQueue, envelope: Envelope, provider: string, untilReceipt: boolean): void {
    const nowMs = this.#clock.monoMs();
    const { epoch, stream } = queue;
    for (const gap of envelope.gaps) {
      queue.gapDelivered(gap);
      this.#remember(queue, provider, gap);
      if (untilReceipt) queue.unconfirmed.gap(gap, nowMs);
      else this.#free(queue, this.#store.acceptGap(epoch, stream, gap.first, gap.last));
    }
    if (envelope.sealedAt === null || queue.sealedAt === null) return;
    queue.sealedAt = null;
    if (untilReceipt) queue.unconfirmed.end(envelope.sealedAt, nowMs);
    else this.#free(queue, this.#store.acceptSeal(epoch, stream));
  }

  /** The rows have their copies, and leave the buffer. */
  release({ epoch, stream }: StreamQueue, free: readonly SeqRange[], copies: number): void {
    for (const { first, last } of free)
      this.#free({ epoch }, this.#store.accept({ epoch, stream, provider: null, first, last, copies }));
  }

  #rememberAll(queue: StreamQueue, provider: string, { records }: Envelope): void {
    const sent = IntervalSet.of(records.map(({ seq }) => ({ first: seq, last: seq })));
    for (const part of sent.ranges()) this.#remember(queue, provider, part);
  }

  #remember(queue: StreamQueue, provider: string, { first, last }: SeqRange): void {
    if (this.#receipts) queue.outstanding.acknowledged(provider, { first, last }, this.#clock.monoMs());
  }

  /** Not awaited: a free that is lost in a crash at worst sends the rows again. */
  #free({ epoch }: { epoch: string }, free: Promise<void>): void {
    free.catch((error: unknown) =>
      this.#log.warn({ event: 'forward.free_failed', epoch, error: errorText(error) }),
    );
  }
}
