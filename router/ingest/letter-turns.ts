/**
 * When a dead letter is written. Each is a commit of its own, and costs its sender nothing: eight refused
 * messages in hand would be eight commits before anybody's envelope. So they are written one at a time,
 * senders take turns, and a sender rests after each letter while other gateways are about: the ledger is free
 * for their envelopes three fifths of the time.
 */
import type { Clock } from '../../shared/clock.ts';

/** As for commits: of the ledger's time, one sender's letters take at most two fifths. */
const REST_PER_MS = 1.5;
const REST_MS_MAX = 100;
/** Most senders whose rest is remembered (I10); the oldest is forgotten. */
const RESTS_MAX = 1000;

export interface LetterTurnsOptions {
  clock: Clock;
  /** Whether no other gateway has sent an envelope lately. */
  isAlone(sender: string, nowMs: number): boolean;
}

type Write = () => Promise<void>;

export class LetterTurns {
  readonly #options: LetterTurnsOptions;
  /** By sender, the next turn first; one without letters is absent. */
  readonly #waiting = new Map<string, Write[]>();
  readonly #restsUntilMs = new Map<string, number>();
  #resting: AbortController | null = null;
  #isRunning: boolean = false;
  #isHurried: boolean = false;

  constructor(options: LetterTurnsOptions) {
    this.#options = options;
  }

  /** Settles as `write`, which is called in its turn. */
  inTurn<Result>(sender: string, write: () => Promise<Result>): Promise<Result> {
    return new Promise((resolve, reject) => {
      const queue = this.#waiting.get(sender) ?? [];
      // Also where it throws at once.
      const begun = async (): Promise<Result> => write();
      queue.push(() => begun().then(resolve, reject));
      this.#waiting.set(sender, queue);
      this.#resting?.abort();
      if (!this.#isRunning) void this.#run();
    });
  }

  /** From now on none rests: the router is stopping. */
  hurry(): void {
    this.#isHurried = true;
    this.#resting?.abort();
  }

  async #run(): Promise<void> {
    const { clock } = this.#options;
    this.#isRunning = true;
    while (this.#waiting.size > 0) {
      const startedMs = clock.monoMs();
      const turn = this.#next(startedMs);
      if ('waitMs' in turn) {
        this.#resting = new AbortController();
        await clock.sleep(turn.waitMs, this.#resting.signal);
        this.#resting = null;
        continue;
      }
      await turn.write();
      this.#rest(turn.sender, startedMs, clock.monoMs());
    }
    this.#isRunning = false;
  }

  #next(nowMs: number): { sender: string; write: Write } | { waitMs: number } {
    let waitMs = REST_MS_MAX;
    for (const [sender, queue] of this.#waiting) {
      const restMs = this.#restOf(sender, nowMs);
      const [write] = queue;
      if (restMs > 0 || write === undefined) {
        waitMs = Math.min(waitMs, restMs);
        continue;
      }
      queue.shift();
      // The last in the next round.
      this.#waiting.delete(sender);
      if (queue.length > 0) this.#waiting.set(sender, queue);
      return { sender, write };
    }
    return { waitMs };
  }

  #restOf(sender: string, nowMs: number): number {
    const restMs = (this.#restsUntilMs.get(sender) ?? nowMs) - nowMs;
    return restMs <= 0 || this.#isHurried || this.#options.isAlone(sender, nowMs) ? 0 : restMs;
  }

  #rest(sender: string, startedMs: number, nowMs: number): void {
    const restMs = Math.min(REST_MS_MAX, (nowMs - startedMs) * REST_PER_MS);
    this.#restsUntilMs.delete(sender);
    this.#restsUntilMs.set(sender, nowMs + restMs);
    const [oldest] = this.#restsUntilMs.keys();
    if (this.#restsUntilMs.size > RESTS_MAX && oldest !== undefined) this.#restsUntilMs.delete(oldest);
  }
}
