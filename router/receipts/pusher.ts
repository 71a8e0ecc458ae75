/**
 * Takes receipts to gateways through one cloud, beside the long poll. A commit only notes whose receipt is
 * due: whatever the cloud does, the ledger and the other clouds' pushers go on.
 *
 * Each push is billed. So a gateway gets at most one in an interval, whatever came in meanwhile goes into the
 * next, and none that says what the last one said. Routers on one ledger push each what they committed: one
 * receipt more does no harm.
 */
import { createHash } from 'node:crypto';
import type { Clock } from '../../shared/clock.ts';
import type { Entropy } from '../../shared/entropy.ts';
import { errorText, type Logger } from '../../shared/log.ts';
import type { Receipt } from '../../shared/receipt.ts';
import type { Service } from '../../shared/service.ts';
import type { SparseLog } from '../../shared/sparse-log.ts';
import type { Carrier } from './carrier.ts';
import type { Receipts } from './receipts.ts';

/** Gateways that wait for a push, and whose last one is remembered (I10): about 20 MB. */
const GATEWAYS_MAX = 100_000;
/** Pushes under way. */
const AT_ONCE = 16;
/** How often it is looked for who is due. */
const TICK_MS = 250;
const PAUSE_FIRST_MS = 1000;
const PAUSE_LAST_MS = 60_000;

/** What became of pushes; the metric label. */
export interface PushCounts {
  sent: number;
  /** It would have said what the last one said. */
  unchanged: number;
  /** Not for this gateway: the next one is tried when there is news. */
  refused: number;
  /** Tried again. */
  failed: number;
  /** Too many waited; the gateway's next commit has it pushed. */
  dropped: number;
}

interface Pushed {
  atMs: number;
  version: number;
  /** Of what it said. */
  digest: string;
}

export interface PusherOptions {
  name: string;
  carrier: Carrier;
  /** Between two receipts for one gateway. */
  intervalMs: number;
  receipts: Pick<Receipts, 'current'>;
  clock: Clock;
  entropy: Entropy;
  log: Logger;
  sparseLog: SparseLog;
}

export class ReceiptPusher implements Service {
  readonly name: string;
  readonly counts: PushCounts = { sent: 0, unchanged: 0, refused: 0, failed: 0, dropped: 0 };
  readonly #options: PusherOptions;
  /** By gateway: when it is due, monotonic. */
  readonly #due = new Map<string, number>();
  /** The one pushed to last is last. */
  readonly #pushed = new Map<string, Pushed>();
  readonly #stopping = new AbortController();
  #wake: () => void = () => undefined;
  #failures = 0;
  #running: Promise<void> = Promise.resolve();

  constructor(options: PusherOptions) {
    this.name = options.name;
    this.#options = options;
  }

  /** Gateways that something came in for since their last push. */
  get waiting(): number {
    return this.#due.size;
  }

  /** The ledger committed something of these gateways. */
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

  /** What waits is pushed by the next router that hears of the gateway: heartbeats alone see to that. */
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

  /** Until the first is due; without any, until there is one. */
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

  /** Null, or what is wrong with the cloud or the ledger; then the gateway waits again. */
  async #push(gateway: string, signal: AbortSignal): Promise<string | null> {
    const { carrier, receipts, clock, sparseLog } = this.#options;
    const last = this.#pushed.get(gateway);
    let receipt: Receipt | null;
    try {
      receipt = await receipts.current(gateway, carrier.bytesMax, signal);
    } catch (error) {
      return this.#again(gateway, `the ledger does not answer: ${errorText(error)}`);
    }
    if (receipt === null) return null;
    const { version } = receipt;
    const digest = digestOf(receipt);
    const atMs = clock.monoMs();
    if (version === last?.version || digest === last?.digest) {
      this.counts.unchanged += 1;
      // Looked at counts like pushed: a gateway whose heartbeats alone come in costs one look in an interval.
      this.#remember(gateway, { ...last, atMs });
      return null;
    }
    const carried = await carrier.send(receipt, signal);
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
    // What was committed meanwhile was due at once: it, too, waits for its time.
    if (this.#due.has(gateway)) this.#due.set(gateway, pushed.atMs + this.#options.intervalMs);
  }

  #works(): void {
    if (this.#failures > 0)
      this.#options.log.info({ event: 'receipts.push_works', downlink: this.name, failures: this.#failures });
    this.#failures = 0;
  }

  /** The first line says why; what follows is counted by the metric. */
  #pauseAfter(problem: string): number {
    if (this.#failures === 0)
      this.#options.log.warn({ event: 'receipts.push_failed', downlink: this.name, problem });
    this.#failures += 1;
    const ceilingMs = Math.min(PAUSE_LAST_MS, PAUSE_FIRST_MS * 2 ** (this.#failures - 1));
    return ceilingMs * (0.5 + this.#options.entropy.float() / 2);
  }
}

function digestOf({ streams }: Receipt): string {
  return createHash('sha256').update(JSON.stringify(streams)).digest('base64url');
}
