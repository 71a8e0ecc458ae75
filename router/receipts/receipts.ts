/**
 * Receipts for gateways that ask for them. They are made from the ledger's contract (`completeness`), so they
 * work with every engine and include commits of other routers on the same ledger. A gateway gets at most one
 * receipt in an interval, and only with news.
 *
 * The version is the router's wall clock, or slightly more than the version before. It grows over restarts,
 * from router to router, and past the version that a gateway has, so that a clock set back or a new ledger
 * silences no gateway. Where the clocks of two routers differ, an older receipt may win for a moment:
 * receipts are cumulative, and the next one corrects it.
 *
 * A record that only an unverified envelope brought is missing to a gateway that signs: somebody else may
 * have made it up, and the gateway's own copy must not be freed for it.
 *
 * A receipt that is shortened for a cloud has a version one less, so that the whole receipt wins when it
 * arrives another way.
 */
import type { Clock } from '../../shared/clock.ts';
import type { Receipt, StreamReceipt } from '../../shared/receipt.ts';
import type { StreamKey } from '../../shared/record.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { streamReceipts } from './receipt.ts';
import { fitted } from './shorten.ts';

/** Most gateways that are remembered without a waiting request (I10). */
const IDLE_GATEWAYS_MAX = 10_000;
/** Most streams of a gateway whose latest commit is remembered. */
const TOUCHED_MAX = 256;

interface GatewayReceipts {
  streams: StreamReceipt[];
  /** `streams` as text, to detect changes. */
  text: string;
  version: number;
  /** Monotonic time of the last query of the ledger. */
  lookedMs: number;
  /** Records or gaps were committed since. */
  changed: boolean;
  looking: Promise<void> | null;
  /** Streams by their latest commit, the latest last. */
  touched: Map<string, number>;
  /** Ends the waits of requests. */
  wakes: Set<() => void>;
}

export interface ReceiptsOptions {
  ledger: Pick<Ledger, 'completeness'>;
  clock: Clock;
  /**
   * Whether records count that no verified envelope brought; null to decide by the ledger: they count until
   * the gateway's first verified envelope. Default: null for every gateway.
   */
  unverifiedCount?: (gateway: string) => boolean | null;
  /** Shortest time between two receipts for one gateway. */
  intervalMs: number;
}

export class Receipts {
  readonly #options: ReceiptsOptions;
  /** By gateway, the latest request last. */
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

  /** Gateways with a waiting request. */
  get waiting(): number {
    return [...this.#gateways.values()].reduce((sum, { wakes }) => sum + (wakes.size > 0 ? 1 : 0), 0);
  }

  /** The ledger has committed records or gaps of these streams. */
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

  /** Another process has committed records of this gateway. */
  committedElsewhere(gateway: string): void {
    const known = this.#gateways.get(gateway);
    if (!known) return;
    known.changed = true;
    for (const wake of known.wakes) wake();
  }

  /**
   * A receipt with a version above `after`, the gateway's own: at once, or when there is news. Null without
   * news within `waitMs` (or the rest of the interval, where that is longer), or when `signal` aborts.
   * Rejects when the ledger does not answer.
   */
  async next(gateway: string, after: number, waitMs: number, signal: AbortSignal): Promise<Receipt | null> {
    const { clock, intervalMs } = this.#options;
    const own = this.#of(gateway);
    // Long enough for one query: "no news" is answered only after a query.
    const endsMs = Math.max(clock.monoMs() + waitMs, own.lookedMs + intervalMs);
    for (;;) {
      const restMs = own.lookedMs + intervalMs - clock.monoMs();
      if (restMs <= 0) {
        await this.#look(gateway, own, after);
        // The gateway has a newer receipt, from another router or from before a restart: this one must win.
        if (after > own.version) own.version = after + 1;
      }
      // A query for a cloud's receipt may have begun the interval anew: its news counts here too.
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
   * The current receipt for a cloud, shortened until it `fits`; null when `signal` aborts. Its version grows
   * only when its content changes. Rejects when the ledger does not answer.
   */
  async current(
    gateway: string,
    fits: (receipt: Receipt) => boolean,
    signal: AbortSignal,
  ): Promise<Receipt | null> {
    const { clock, intervalMs } = this.#options;
    const own = this.#of(gateway);
    const restMs = own.lookedMs + intervalMs - clock.monoMs();
    if (restMs > 0 && own.changed) await clock.sleep(restMs, signal);
    if (signal.aborted) return null;
    if (restMs <= 0 || own.changed) await this.#look(gateway, own, 0);
    const { version, streams, touched } = own;
    const whole = { gateway, version, streams };
    if (fits(whole)) return whole;
    return fitted({ ...whole, version: version - 1 }, (key) => touched.get(nameOf(key)) ?? 0, fits);
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

  /** Queries the ledger, even without commits here: another router may have committed. */
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
    const counts = this.#options.unverifiedCount?.(gateway) ?? !completeness.some(({ isSigned }) => isSigned);
    const stated = counts ? completeness : completeness.map((stream) => ({ ...stream, ...stream.proven }));
    const streams = streamReceipts(stated, (key) => own.touched.get(nameOf(key)) ?? 0);
    const text = JSON.stringify(streams);
    if (text === own.text) return;
    own.streams = streams;
    own.text = text;
    own.version = Math.max(Math.round(clock.wallMs()), own.version + 2, after + 2);
  }

  /** Resolves with a commit, after `waitMs`, or when `signal` aborts. */
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
