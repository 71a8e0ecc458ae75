/**
 * Follows the receipts: settles what they cover, tells routing how far each provider's are behind, and takes
 * back what a provider acknowledged and did not deliver, to be sent through another.
 *
 * Only a router that answers is evidence. How late a receipt is, is counted to the moment of its last answer
 * and not beyond, and after a silence it is given as long again to catch up with what waits in the clouds'
 * queues: late receipts are then its own doing.
 *
 * A receipt that a cloud brings answers no question, and may have lain there for hours. It is as new as the
 * newest that it is the first to cover: no clock but this gateway's own is asked (I7). That none comes says
 * nothing, unless something waits for one.
 */
import type { Clock } from '../../shared/clock.ts';
import type { Logger } from '../../shared/log.ts';
import type { Receipt } from '../../shared/receipt.ts';
import type { Settlements } from '../forward/queue/settlements.ts';
import type { Stream } from '../forward/queue/stream.ts';
import type { StreamQueue } from '../forward/queue/stream-queue.ts';
import type { LiveRouting } from '../routing/live-routing.ts';

/** However long the router was silent, it gets no more than this to catch up. */
const CATCH_UP_MS_MAX = 600_000;
/**
 * What a provider did not deliver is sent through others so long; then through any again, or it might wait
 * for ever.
 */
const AVOID_MS = 60_000;
/**
 * Something waits, and no cloud has brought a receipt for so long: the router is away. Above the slowest
 * downlink's usual pace.
 */
const QUIET_MS = 180_000;

export interface ReceiptTrackerOptions {
  streams: () => Iterable<Stream>;
  settlements: Settlements;
  routing: Pick<LiveRouting, 'dispatch'>;
  providers: readonly string[];
  /** What is acknowledged and not covered after so long did not arrive. */
  lagMs: number;
  clock: Clock;
  log: Logger;
}

export class ReceiptTracker {
  readonly #options: ReceiptTrackerOptions;
  #lags = new Map<string, number>();
  /** Records that did not arrive, by who acknowledged them. */
  readonly #undelivered = new Map<string, number>();
  #heardMs: number | null = null;
  #isLost: boolean = false;
  /** When a cloud last brought a receipt. */
  #toldMs: number | null = null;
  /** Up to here the router has spoken of what was acknowledged. */
  #evidenceMs = 0;
  /**
   * Of the last receipt: the newest that it was the first to cover, and the oldest that had waited for it.
   */
  #newestMs: number | null = null;
  #oldestMs: number | null = null;
  /** Ages count from here on. */
  #countedFromMs = 0;

  constructor(options: ReceiptTrackerOptions) {
    this.#options = options;
  }

  /** By provider, as of the router's last answer; those without anything outstanding are not in it. */
  get lags(): ReadonlyMap<string, number> {
    return this.#lags;
  }

  /** Records that providers acknowledged and that did not reach the ledger in time, since start. */
  get undelivered(): ReadonlyMap<string, number> {
    return this.#undelivered;
  }

  /** Something waits for a receipt. */
  get isWaiting(): boolean {
    return [...this.#queues()].some(({ queue }) => !queue.outstanding.isEmpty || queue.kept > 0);
  }

  /** A newer receipt came. {@link onRouterAnswer} or {@link onCloudReceipt} follows. */
  apply({ streams }: Receipt): void {
    const queues = new Map([...this.#queues()].map((one) => [keyOf(one.queue), one]));
    const waiting = [...queues.values()].flatMap(({ queue }) => queue.outstanding.oldest());
    this.#oldestMs = waiting.length > 0 ? Math.min(...waiting.map(({ atMs }) => atMs)) : null;
    this.#newestMs = null;
    for (const receipt of streams) {
      const known = queues.get(keyOf(receipt));
      if (!known) continue;
      const atMs = this.#options.settlements.received(known.stream, known.queue, receipt);
      if (atMs !== null) this.#newestMs = Math.max(atMs, this.#newestMs ?? atMs);
    }
  }

  /** The router answered: what it has said up to now is all there is to say. */
  onRouterAnswer(): void {
    const nowMs = this.#options.clock.monoMs();
    this.#spoke(nowMs, this.#isLost);
    this.#evidenceMs = nowMs;
    this.#judge(nowMs);
  }

  /** A cloud brought the receipt that was applied last. */
  onCloudReceipt(): void {
    const nowMs = this.#options.clock.monoMs();
    const waitingSinceMs = Math.max(this.#heardMs ?? nowMs, this.#oldestMs ?? nowMs);
    this.#spoke(nowMs, this.#isLost || nowMs - waitingSinceMs > QUIET_MS);
    this.#toldMs = nowMs;
    this.#evidenceMs = Math.max(this.#evidenceMs, this.#newestMs ?? 0);
    this.#judge(nowMs);
  }

  /** The router does not answer: nothing is known of anybody's receipts, unless a cloud brings them. */
  onRouterSilent(): void {
    const isTold = this.#toldMs !== null && this.#options.clock.monoMs() - this.#toldMs < QUIET_MS;
    if (this.#isLost || isTold) return;
    this.#isLost = true;
    this.#tell(new Map());
  }

  #spoke(nowMs: number, afterSilence: boolean): void {
    if (this.#heardMs === null || afterSilence) {
      const silentMs = this.#heardMs === null ? this.#options.lagMs : nowMs - this.#heardMs;
      this.#countedFromMs = nowMs + Math.min(silentMs, CATCH_UP_MS_MAX);
    }
    this.#heardMs = nowMs;
    this.#isLost = false;
  }

  #judge(nowMs: number): void {
    this.#tell(this.#measured());
    this.#takeBack(nowMs);
  }

  #tell(lags: Map<string, number>): void {
    this.#lags = lags;
    const { routing, providers } = this.#options;
    routing.dispatch({
      kind: 'receipts',
      lags: providers.map((provider) => ({ provider, lagMs: lags.get(provider) ?? null })),
    });
  }

  #measured(): Map<string, number> {
    const lags = new Map<string, number>();
    for (const { queue } of this.#queues()) {
      for (const { provider, atMs } of queue.outstanding.oldest()) {
        const lagMs = Math.max(0, this.#evidenceMs - Math.max(atMs, this.#countedFromMs));
        lags.set(provider, Math.max(lagMs, lags.get(provider) ?? 0));
      }
    }
    return lags;
  }

  /**
   * What is not there by now is owed again where it still is in the buffer, and only counted where it is not.
   */
  #takeBack(nowMs: number): void {
    const untilMs = this.#evidenceMs - this.#options.lagMs;
    if (untilMs < this.#countedFromMs) return;
    for (const { stream, queue } of this.#queues()) {
      for (const { provider, ranges } of queue.outstanding.takeOverdue(untilMs)) {
        this.#takeBackFrom(stream, queue, provider, ranges, nowMs);
      }
      const { gaps, sealedAt } = queue.unconfirmed.takeOverdue(untilMs);
      for (const gap of gaps) queue.gaveUp(gap);
      queue.sealedAt ??= sealedAt;
    }
  }

  #takeBackFrom(
    stream: Stream,
    queue: StreamQueue,
    provider: string,
    ranges: ReadonlyArray<{ first: number; last: number }>,
    nowMs: number,
  ): void {
    const records = ranges.reduce((sum, { first, last }) => sum + last - first + 1, 0);
    this.#undelivered.set(provider, (this.#undelivered.get(provider) ?? 0) + records);
    let again = 0;
    for (const range of ranges) {
      const rows = queue.doubt(provider, range, nowMs + AVOID_MS);
      if (rows > 0) stream.failed(queue, range.first, provider, nowMs);
      again += rows;
    }
    const first = ranges[0]?.first;
    const last = ranges.at(-1)?.last;
    const where = { provider, stream: stream.name, epoch: queue.epoch, first, last };
    this.#options.log.warn({ event: 'receipts.undelivered', ...where, records, sentAgain: again });
  }

  *#queues(): Generator<{ stream: Stream; queue: StreamQueue }> {
    for (const stream of this.#options.streams()) {
      for (const queue of stream.queues) yield { stream, queue };
    }
  }
}

function keyOf({ epoch, stream }: { epoch: string; stream: string }): string {
  return `${epoch}/${stream}`;
}
