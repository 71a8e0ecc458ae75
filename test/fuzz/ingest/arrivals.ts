/** Valid envelopes on their way to the ledger: they go on arriving while the hostile ones come. */
import { systemClock as clock } from '../../../shared/clock.ts';
import type { World } from './world.ts';

/** After this long without a valid record arriving, the router counts as stalled. */
export const STALL_MS = 60_000;

interface Awaited {
  source: string;
  stream: string;
  lastSeq: number;
  ackedMs: number;
}

export class Arrivals {
  /**
   * From the acknowledgement of a valid envelope by its cloud to its records in the ledger, at the worst, by
   * source.
   */
  readonly validMsMax: Record<string, number> = {};
  readonly #world: World;
  readonly #problem: (text: string) => void;
  readonly #awaited = new Set<Awaited>();

  constructor(world: World, problem: (text: string) => void) {
    this.#world = world;
    this.#problem = problem;
  }

  get size(): number {
    return this.#awaited.size;
  }

  /** Its cloud has acknowledged it. */
  await(one: Omit<Awaited, 'ackedMs'>): void {
    this.#awaited.add({ ...one, ackedMs: clock.monoMs() });
  }

  of(source: string): number {
    return [...this.#awaited].filter((awaited) => awaited.source === source).length;
  }

  /** Looks until `over` aborts; `sent` is the number of messages so far. */
  async watch(over: AbortSignal, sent: () => number, say: (line: string) => void): Promise<void> {
    let movedMs = clock.monoMs();
    let saidMs = movedMs;
    while (!over.aborted) {
      await clock.sleep(100, over);
      const before = this.#awaited.size;
      await this.#look();
      const now = clock.monoMs();
      if (before === 0 || this.#awaited.size < before) movedMs = now;
      if (now - movedMs > STALL_MS) {
        this.#problem(`nothing valid arrived for ${STALL_MS} ms; ${this.#awaited.size} envelopes wait`);
        movedMs = now;
      }
      if (now - saidMs < 10_000) continue;
      saidMs = now;
      say(`${sent()} sent, ${this.#awaited.size} valid ones on their way`);
    }
  }

  async #look(): Promise<void> {
    try {
      const { gateways } = await this.#world.status();
      const streams = gateways.flatMap((gateway) => gateway.streams);
      const completeTo = new Map(streams.map((stream) => [stream.stream, stream]));
      const now = clock.monoMs();
      for (const awaited of this.#awaited) {
        const held = completeTo.get(awaited.stream);
        const missing = held?.missing.some(({ first }) => first <= awaited.lastSeq) ?? true;
        if (missing || (held?.highest ?? 0) < awaited.lastSeq) continue;
        this.#awaited.delete(awaited);
        const { source } = awaited;
        this.validMsMax[source] = Math.max(this.validMsMax[source] ?? 0, Math.round(now - awaited.ackedMs));
      }
    } catch (error) {
      this.#problem(`the router does not answer: ${String(error)}`);
    }
  }
}
