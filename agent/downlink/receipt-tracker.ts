/**
 * Applies receipts: settles the records that they cover, reports each provider's receipt lag to routing, and
 * takes back records that a provider acknowledged and did not deliver, so that another provider gets them.
 *
 * Only an answer of the router is evidence. Receipt lag is counted up to the router's last answer, and after
 * a silence the router gets the same time again to catch up with the clouds' queues: late receipts are then
 * the router's fault.
 *
 * A receipt from a cloud answers no question and may be hours old. Its age is that of the newest record that
 * it is the first to cover: this uses only the gateway's own clock (I7). A missing cloud receipt is evidence
 * only while records wait for one.
 */
import type { Clock } from '../../shared/clock.ts';
import type { Logger } from '../../shared/log.ts';
import type { Receipt } from '../../shared/receipt.ts';
import type { Settlements } from '../forward/queue/settlements.ts';
import type { Stream } from '../forward/queue/stream.ts';
import type { StreamQueue } from '../forward/queue/stream-queue.ts';
import type { LiveRouting } from '../routing/live-routing.ts';

/** After a silence of any length, the router gets no more than this to catch up. */
const CATCH_UP_MS_MAX = 600_000;
/**
 * Undelivered records avoid their provider for this long. Then any provider may take them, or they might wait
 * for ever.
 */
const AVOID_MS = 60_000;
/**
 * While records wait, a cloud that brings no receipt for this long means that the router is away. Above the
 * usual interval of the slowest downlink.
 */
const QUIET_MS = 180_000;

export interface ReceiptTrackerOptions {
  streams: () => Iterable<Stream>;
  settlements: Settlements;
  routing: Pick<LiveRouting, 'dispatch'>;
  providers: readonly string[];
  /** An acknowledged record without a receipt after this time counts as undelivered. */
  lagMs: number;
  clock: Clock;
  log: Logger;
}

export class ReceiptTracker {
  readonly #options: ReceiptTrackerOptions;
  /** An acknowledged record without a receipt after this time counts as undelivered; a policy changes it. */
  lagMs: number;
  #lags = new Map<string, number>();
  /** Undelivered records, by the provider that acknowledged them. */
  readonly #undelivered = new Map<string, number>();
  #heardMs: number | null = null;
  #isLost: boolean = false;
  /** When a cloud last brought a receipt. */
  #toldMs: number | null = null;
  /** The router's receipts cover acknowledgements up to this time. */
  #evidenceMs = 0;
  /** The newest record that the last receipt was the first to cover, and the oldest one. */
  #newestMs: number | null = null;
  #oldestMs: number | null = null;
  /** Ages count from this time. */
  #countedFromMs = 0;

  constructor(options: ReceiptTrackerOptions) {
    this.#options = options;
    this.lagMs = options.lagMs;
  }

  /**
   * Receipt lag by provider, as of the router's last answer; without providers that have nothing outstanding.
   */
  get lags(): ReadonlyMap<string, number> {
    return this.#lags;
  }

  /**
   * Records since start that a provider acknowledged and that did not reach the ledger in time, by provider.
   */
  get undelivered(): ReadonlyMap<string, number> {
    return this.#undelivered;
  }

  /** Whether records wait for a receipt. */
  get isWaiting(): boolean {
    return [...this.#queues()].some(({ queue }) => !queue.outstanding.isEmpty || queue.kept > 0);
  }

  /**
   * Applies a receipt; `isNewest`: of all downlinks. The caller calls {@link onRouterAnswer} or
   * {@link onCloudReceipt} next.
   */
  apply({ streams }: Receipt, isNewest = true): void {
    const queues = new Map([...this.#queues()].map((one) => [keyOf(one.queue), one]));
    const waiting = [...queues.values()].flatMap(({ queue }) => queue.outstanding.oldest());
    this.#oldestMs = waiting.length > 0 ? Math.min(...waiting.map(({ atMs }) => atMs)) : null;
    this.#newestMs = null;
    for (const receipt of streams) {
      const known = queues.get(keyOf(receipt));
      if (!known) continue;
      const atMs = this.#options.settlements.received(known.stream, known.queue, receipt, isNewest);
      if (atMs !== null) this.#newestMs = Math.max(atMs, this.#newestMs ?? atMs);
    }
  }

  /** The router answered: its receipts are complete up to now. */
  onRouterAnswer(): void {
    const nowMs = this.#options.clock.monoMs();
    this.#spoke(nowMs, this.#isLost);
    this.#evidenceMs = nowMs;
    this.#judge(nowMs);
  }

  /** A cloud brought the last applied receipt. */
  onCloudReceipt(): void {
    const nowMs = this.#options.clock.monoMs();
    const waitingSinceMs = Math.max(this.#heardMs ?? nowMs, this.#oldestMs ?? nowMs);
    this.#spoke(nowMs, this.#isLost || nowMs - waitingSinceMs > QUIET_MS);
    this.#toldMs = nowMs;
    this.#evidenceMs = Math.max(this.#evidenceMs, this.#newestMs ?? 0);
    this.#judge(nowMs);
  }

  /** The router does not answer: receipt lag is unknown, except by receipts through clouds. */
  onRouterSilent(): void {
    const isTold = this.#toldMs !== null && this.#options.clock.monoMs() - this.#toldMs < QUIET_MS;
    if (this.#isLost || isTold) return;
    this.#isLost = true;
    this.#tell(new Map());
  }

  #spoke(nowMs: number, afterSilence: boolean): void {
    if (this.#heardMs === null || afterSilence) {
      const silentMs = this.#heardMs === null ? this.lagMs : nowMs - this.#heardMs;
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

  /** Records without a receipt by now are owed again if the buffer still has them, else only counted. */
  #takeBack(nowMs: number): void {
    const untilMs = this.#evidenceMs - this.lagMs;
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
