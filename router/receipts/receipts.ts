/**
 * The receipts of all gateways that ask for theirs. Made from the ledger's contract (`completeness`), so from
 * any engine, and also when another router on the same ledger committed. A gateway gets at most one in an
 * interval, and only one that says something new.
 *
 * The version is the router's wall clock, or a little more than whatever came before: it grows over restarts,
 * from router to router, and past what a gateway says it has, so that a clock set back, or a ledger begun
 * anew, mutes nobody. Where the clocks of two routers differ an older one may win for a moment: receipts are
 * cumulative, and the next one puts it right.
 *
 * One that is cut for a cloud has a version of its own, one less: the whole one, when it comes another way,
 * must count.
 */
import type { Clock } from '../../shared/clock.ts';
import type { Receipt, StreamReceipt } from '../../shared/receipt.ts';
import type { StreamKey } from '../../shared/record.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { streamReceipts } from './receipt.ts';
import { fitted } from './shorten.ts';

/** Gateways remembered that do not ask at the moment (I10). */
const IDLE_GATEWAYS_MAX = 10_000;
/** Streams of which it is remembered when something came in. */
const TOUCHED_MAX = 256;

interface GatewayReceipts {
  streams: StreamReceipt[];
  /** `streams` as text, to see a change by. */
  text: string;
  version: number;
  /** Monotonic: when the ledger was asked last. */
  lookedMs: number;
  /** Something was committed since. */
  changed: boolean;
  looking: Promise<void> | null;
  /** Order in which streams were committed to, the latest last. */
  touched: Map<string, number>;
  /** Ends the waits of who asks. */
  wakes: Set<() => void>;
}

export interface ReceiptsOptions {
  ledger: Pick<Ledger, 'completeness'>;
  clock: Clock;
  /** Between two receipts for one gateway. */
  intervalMs: number;
}

export class Receipts {
  readonly #options: ReceiptsOptions;
  /** Who asked last is last. */
  readonly #gateways = new Map<string, GatewayReceipts>();
  #touches = 0;
  #answered = 0;

  constructor(options: ReceiptsOptions) {
    this.#options = options;
  }

  /** Receipts handed out since start. */
  get answered(): number {
    return this.#answered;
  }

  /** Gateways that wait for one now. */
  get waiting(): number {
    return [...this.#gateways.values()].reduce((sum, { wakes }) => sum + (wakes.size > 0 ? 1 : 0), 0);
  }

  /** The ledger committed something of these streams. */
  committed(keys: Iterable<StreamKey>): void {
    for (const key of keys) {
      const known = this.#gateways.get(key.gateway);
      if (!known) continue;
      known.changed = true;
      this.#touches += 1;
      known.touched.delete(nameOf(key));
      known.touched.set(nameOf(key), this.#touches);
      const [oldest] = known.touched.keys();
      if (known.touched.size > TOUCHED_MAX && oldest !== undefined) known.touched.delete(oldest);
      for (const wake of known.wakes) wake();
    }
  }

  /**
   * The receipt of a version above `after`, which is what the gateway has: at once, or when there is news;
   * null when there is none within `waitMs` (or, when that is longer, what is left of the interval), or
   * `signal` aborts. Rejects when the ledger does not answer.
   */
  async next(gateway: string, after: number, waitMs: number, signal: AbortSignal): Promise<Receipt | null> {
    const { clock, intervalMs } = this.#options;
    const own = this.#of(gateway);
    // Long enough to look once: that there is nothing new is said only of what was looked at.
    const endsMs = Math.max(clock.monoMs() + waitMs, own.lookedMs + intervalMs);
    for (;;) {
      const restMs = own.lookedMs + intervalMs - clock.monoMs();
      if (restMs <= 0) {
        await this.#look(gateway, own, after);
        // It has one that is newer than ours: another router spoke to it, or this one's past does. Now we
        // know better.
        if (after > own.version) own.version = after + 1;
      }
      // Also when it was looked for a cloud meanwhile, which began the interval anew.
      if (own.version > after) {
        this.#answered += 1;
        return { gateway, version: own.version, streams: own.streams };
      }
      const leftMs = endsMs - clock.monoMs();
      if (leftMs <= 0 || signal.aborted) return null;
      if (restMs > 0) await clock.sleep(Math.min(restMs, leftMs), signal);
      else await this.#news(own, leftMs, signal);
    }
  }

  /**
   * What is to be said now, in at most `bytesMax` bytes of JSON, when a cloud carries it; null when `signal`
   * aborts. Its version is higher than the last one's only when it says something else. Rejects when the
   * ledger does not answer.
   */
  async current(gateway: string, bytesMax: number, signal: AbortSignal): Promise<Receipt | null> {
    const { clock, intervalMs } = this.#options;
    const own = this.#of(gateway);
    const restMs = own.lookedMs + intervalMs - clock.monoMs();
    if (restMs > 0 && own.changed) await clock.sleep(restMs, signal);
    if (signal.aborted) return null;
    if (restMs <= 0 || own.changed) await this.#look(gateway, own, 0);
    const { version, streams, touched } = own;
    const whole = { gateway, version, streams };
    const cut = fitted(whole, (key) => touched.get(nameOf(key)) ?? 0, bytesMax);
    return cut === whole ? whole : { ...cut, version: version - 1 };
  }

  #of(gateway: string): GatewayReceipts {
    const known = this.#gateways.get(gateway) ?? {
      streams: [],
      text: '',
      version: 0,
      lookedMs: Number.NEGATIVE_INFINITY,
      changed: false,
      looking: null,
      touched: new Map(),
      wakes: new Set(),
    };
    this.#gateways.delete(gateway);
    this.#gateways.set(gateway, known);
    for (const [name, { wakes, looking }] of this.#gateways) {
      if (this.#gateways.size <= IDLE_GATEWAYS_MAX) break;
      if (wakes.size === 0 && looking === null && name !== gateway) this.#gateways.delete(name);
      else break;
    }
    return known;
  }

  /** Asks the ledger: also when nothing was committed here, because another router may have. */
  async #look(gateway: string, own: GatewayReceipts, after: number): Promise<void> {
    own.looking ??= this.#asked(gateway, own, after).finally(() => {
      own.looking = null;
    });
    await own.looking;
  }

  async #asked(gateway: string, own: GatewayReceipts, after: number): Promise<void> {
    const { clock, ledger } = this.#options;
    own.changed = false;
    let completeness: Awaited<ReturnType<Ledger['completeness']>>;
    try {
      completeness = await ledger.completeness(gateway);
    } catch (error) {
      own.changed = true;
      throw error;
    }
    own.lookedMs = clock.monoMs();
    const streams = streamReceipts(completeness, (key) => own.touched.get(nameOf(key)) ?? 0);
    const text = JSON.stringify(streams);
    if (text === own.text) return;
    own.streams = streams;
    own.text = text;
    own.version = Math.max(Math.round(clock.wallMs()), own.version + 2, after + 2);
  }

  /** Resolves when something was committed, after `waitMs`, or when `signal` aborts. */
  async #news(own: GatewayReceipts, waitMs: number, signal: AbortSignal): Promise<void> {
    const done = new AbortController();
    const wake = (): void => done.abort();
    own.wakes.add(wake);
    if (!own.changed) await this.#options.clock.sleep(waitMs, AbortSignal.any([done.signal, signal]));
    own.wakes.delete(wake);
  }
}

function nameOf({ epoch, stream }: Pick<StreamKey, 'epoch' | 'stream'>): string {
  return `${epoch}/${stream}`;
}
