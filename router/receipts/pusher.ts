/**
 * Sends receipts to gateways through one cloud, beside the long poll. A commit only marks the gateway's
 * receipt as due, so a slow cloud delays neither the ledger nor the pushers of other clouds.
 *
 * Each push is billed. So a gateway gets at most one receipt in an interval, with everything committed until
 * then, and no receipt that repeats the last one. Each router on a ledger pushes for its own commits: an
 * additional receipt does no harm.
 */
import { createHash } from 'node:crypto';
import { Backoff } from '../../shared/backoff.ts';
import type { Clock } from '../../shared/clock.ts';
import type { Entropy } from '../../shared/entropy.ts';
import { errorText, type Logger } from '../../shared/log.ts';
import type { Receipt } from '../../shared/receipt.ts';
import type { Service } from '../../shared/service.ts';
import type { SparseLog } from '../../shared/sparse-log.ts';
import type { Carrier } from './carrier.ts';
import type { ReceiptForm } from './form.ts';
import type { Receipts } from './receipts.ts';

/** Most gateways that wait for a push, and most whose last push is remembered (I10): about 20 MB. */
const GATEWAYS_MAX = 100_000;
/** Pushes under way. */
const AT_ONCE = 16;
/** How often the pusher looks for due gateways. */
const TICK_MS = 250;
const BACKOFF = { firstMs: 1000, lastMs: 60_000 };

/** Outcomes of pushes; the metric label. */
export interface PushCounts {
  sent: number;
  /** The receipt would have repeated the last one. */
  unchanged: number;
  /** The cloud refused this gateway's receipt: the next try follows the gateway's next commit. */
  refused: number;
  /** Pushed again after a pause. */
  failed: number;
  /** Too many gateways waited; the gateway's next commit makes it due again. */
  dropped: number;
}

interface Pushed {
  atMs: number;
  version: number;
  /** Digest of the receipt's streams. */
  digest: string;
}

export interface PusherOptions {
  name: string;
  carrier: Carrier;
  /** Shortest time between two receipts for one gateway. */
  intervalMs: number;
  receipts: Pick<Receipts, 'current'>;
  form: ReceiptForm;
  clock: Clock;
  entropy: Entropy;
  log: Logger;
  sparseLog: SparseLog;
}

export class ReceiptPusher implements Service {
  readonly name: string;
  readonly counts: PushCounts = { sent: 0, unchanged: 0, refused: 0, failed: 0, dropped: 0 };
  readonly #options: PusherOptions;
  /** By gateway: the monotonic time when it is due. */
  readonly #due = new Map<string, number>();
  /** By gateway, the latest push last. */
  readonly #pushed = new Map<string, Pushed>();
  readonly #stopping = new AbortController();
  #wake: () => void = () => undefined;
  readonly #backoff: Backoff;
  #running: Promise<void> = Promise.resolve();

  constructor(options: PusherOptions) {
    this.name = options.name;
    this.#options = options;
    this.#backoff = new Backoff(BACKOFF, options.entropy);
  }

  /** Gateways with commits since their last push. */
  get waiting(): number {
    return this.#due.size;
  }

  /** The ledger has committed records or gaps of these gateways. */
  committed(gateways: Iterable<string>): void {
    for (const gateway of gateways) {
      if (this.#due.has(gateway)) continue;
      const last = this.#pushed.get(gateway);
      this.#await(gateway, last ? last.atMs + this.#options.intervalMs : this.#options.clock.monoMs());
    }
  }

  start(): Promise<void> {
    this.#running = this.#run();
    return Promise.resolve();
  }

  /**
   * Waiting receipts are dropped: the next router that hears from the gateway pushes, at the latest with a
   * heartbeat.
   */
  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#wake();
    await this.#running;
    await this.#options.carrier.close();
  }

  #await(gateway: string, dueMs: number): void {
    if (this.#due.size >= GATEWAYS_MAX) {
      this.counts.dropped += 1;
      return;
    }
    this.#due.set(gateway, dueMs);
    this.#wake();
  }

  async #run(): Promise<void> {
    const { clock } = this.#options;
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      const gateways = this.#takeDue(clock.monoMs());
      if (gateways.length === 0) {
        await this.#rest(signal);
        continue;
      }
      const problems = await Promise.all(gateways.map((gateway) => this.#push(gateway, signal)));
      if (signal.aborted) return;
      const problem = problems.find((one) => one !== null);
      if (problem === undefined) this.#works();
      else await clock.sleep(this.#pauseAfter(problem), signal);
    }
  }

  /** Waits for the next look at due gateways; without any, until there is one. */
  async #rest(signal: AbortSignal): Promise<void> {
    if (this.#due.size > 0) {
      await this.#options.clock.sleep(TICK_MS, signal);
      return;
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wake = resolve;
    await promise;
  }

  #takeDue(nowMs: number): string[] {
    const gateways: string[] = [];
    for (const [gateway, dueMs] of this.#due) {
      if (gateways.length === AT_ONCE) break;
      if (dueMs > nowMs) continue;
      gateways.push(gateway);
      this.#due.delete(gateway);
    }
    return gateways;
  }

  /** Null, or the problem of the cloud or the ledger; then the gateway waits again. */
  async #push(gateway: string, signal: AbortSignal): Promise<string | null> {
    const { carrier, receipts, form, clock, sparseLog } = this.#options;
    const last = this.#pushed.get(gateway);
    let receipt: Receipt | null;
    try {
      receipt = await receipts.current(gateway, (one) => form.text(one).length <= carrier.bytesMax, signal);
    } catch (error) {
      return this.#again(gateway, `the ledger does not answer: ${errorText(error)}`);
    }
    if (receipt === null) return null;
    const { version } = receipt;
    const digest = digestOf(receipt);
    const atMs = clock.monoMs();
    if (version === last?.version || digest === last?.digest) {
      this.counts.unchanged += 1;
      // A look counts as a push: a gateway that sends only heartbeats costs one look in an interval.
      this.#remember(gateway, { ...last, atMs });
      return null;
    }
    const carried = await carrier.send({ gateway, text: form.text(receipt) }, signal);
    if (carried.kind === 'failed') return this.#again(gateway, carried.problem);
    this.counts[carried.kind] += 1;
    this.#remember(gateway, { atMs, version, digest });
    if (carried.kind === 'refused')
      sparseLog.warn('receipts.push_refused', { downlink: this.name, gateway, problem: carried.problem });
    return null;
  }

  #again(gateway: string, problem: string): string {
    this.counts.failed += 1;
    if (!this.#due.has(gateway)) this.#await(gateway, this.#options.clock.monoMs());
    return problem;
  }

  #remember(gateway: string, pushed: Pushed): void {
    this.#pushed.delete(gateway);
    this.#pushed.set(gateway, pushed);
    const [oldest] = this.#pushed.keys();
    if (this.#pushed.size > GATEWAYS_MAX && oldest !== undefined) this.#pushed.delete(oldest);
    // A commit during the push made the gateway due at once: move it to the end of the interval.
    if (this.#due.has(gateway)) this.#due.set(gateway, pushed.atMs + this.#options.intervalMs);
  }

  #works(): void {
    const { failures } = this.#backoff;
    if (failures > 0) this.#options.log.info({ event: 'receipts.push_works', downlink: this.name, failures });
    this.#backoff.reset();
  }

  /** Logs the first failure of a row; the metric counts the others. */
  #pauseAfter(problem: string): number {
    if (this.#backoff.failures === 0)
      this.#options.log.warn({ event: 'receipts.push_failed', downlink: this.name, problem });
    return this.#backoff.failed();
  }
}

function digestOf({ streams }: Receipt): string {
  return createHash('sha256').update(JSON.stringify(streams)).digest('base64url');
}
