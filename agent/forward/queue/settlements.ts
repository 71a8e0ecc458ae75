/**
 * What an acceptance by a provider, or a receipt of the router, means for the buffer: which rows are free,
 * which gaps and ends are told (I3). In a stream with `until: receipt` the provider's word is only noted, and
 * the receipt settles.
 */
import type { Clock } from '../../../shared/clock.ts';
import type { Envelope } from '../../../shared/envelope/envelope.ts';
import { IntervalSet } from '../../../shared/interval-set.ts';
import { errorText, type Logger } from '../../../shared/log.ts';
import { coveredBy, type StreamReceipt } from '../../../shared/receipt.ts';
import type { SeqRange } from '../../../shared/record.ts';
import type { StreamState } from '../../store/types.ts';
import type { Buffer } from '../buffer.ts';
import type { Stream } from './stream.ts';
import { StreamQueue } from './stream-queue.ts';

export interface SettlementsOptions {
  store: Pick<Buffer, 'accept' | 'acceptGap' | 'acceptSeal'>;
  clock: Clock;
  log: Logger;
  /** Receipts come: what is acknowledged is remembered until one covers it. */
  receipts: boolean;
}

export class Settlements {
  readonly #store: SettlementsOptions['store'];
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #receipts: boolean;

  constructor({ store, clock, log, receipts }: SettlementsOptions) {
    this.#store = store;
    this.#clock = clock;
    this.#log = log;
    this.#receipts = receipts;
  }

  /**
   * What the store held when it was opened. The stream may ask for less than when the file was closed: what
   * has enough now is reported again, which frees it.
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

  /** A provider took an envelope. `range`: the run that its records came from, null when it has none. */
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
      if (untilReceipt) this.#release(queue, queue.received(null, copies), copies);
      const recovery = stream.recovered(queue, range, this.#clock.monoMs());
      if (recovery && recovery.from !== provider) {
        this.#log.info({ event: 'forward.recovered', stream: stream.name, epoch, to: provider, ...recovery });
      }
    }
    this.#told(queue, envelope, provider, untilReceipt);
  }

  /** No other provider takes these rows: the copies that there are have to do. */
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
   * A receipt of the router about this queue. Returns when the newest that it is the first to cover was
   * acknowledged.
   */
  received({ policy }: Stream, queue: StreamQueue, receipt: StreamReceipt): number | null {
    const covered = coveredBy(receipt);
    const newestMs = queue.outstanding.forget(covered);
    if (policy.until !== 'receipt') return newestMs;
    this.#release(queue, queue.received(covered, policy.redundancy), policy.redundancy);
    const { gaps, end } = queue.unconfirmed.confirmed(covered, receipt.sealedAt);
    for (const { first, last } of gaps)
      this.#free(queue, this.#store.acceptGap(queue.epoch, queue.stream, first, last));
    if (end) this.#free(queue, this.#store.acceptSeal(queue.epoch, queue.stream));
    return newestMs;
  }

  /** Gaps and the end of the epoch that the envelope told. */
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

  #release({ epoch, stream }: StreamQueue, free: readonly SeqRange[], copies: number): void {
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

  /** A free that is not durable yet is at worst sent again after a crash: nothing waits for it. */
  #free({ epoch }: { epoch: string }, free: Promise<void>): void {
    free.catch((error: unknown) =>
      this.#log.warn({ event: 'forward.free_failed', epoch, error: errorText(error) }),
    );
  }
}
