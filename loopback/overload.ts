/** The effect of the faults `throttle` and `brownout` on each request: one per side of a cloud. */
import type { Clock } from '../shared/clock.ts';
import type { Entropy } from '../shared/entropy.ts';
import type { Fault } from './faults.ts';

/** `late`: as `pass`, but after a while. */
export type Treatment = 'pass' | 'late' | 'unavailable' | 'throttled';

/** In turn. */
const BROWNOUT = ['unavailable', 'late', 'pass'] as const satisfies Treatment[];

interface OverloadOptions {
  /** The active fault of this side. */
  fault: () => Fault | null;
  clock: Clock;
  entropy: Entropy;
}

export class Overload {
  readonly #options: OverloadOptions;
  #fault: Fault | null = null;
  #second = 0;
  #passed = 0;
  #turn = 0;
  #turnedAway = 0;

  constructor(options: OverloadOptions) {
    this.#options = options;
  }

  /** Requests that were throttled. */
  get turnedAway(): number {
    return this.#turnedAway;
  }

  /** Whether a brownout refuses the next connection; counts it. Another fault lets it pass. */
  turnsAway(): boolean {
    return this.#options.fault()?.name === 'brownout' && this.next() === 'unavailable';
  }

  /** Whether the next request is throttled; counts it. Another fault lets it pass. */
  isThrottled(): boolean {
    return this.#options.fault()?.name === 'throttle' && this.next() === 'throttled';
  }

  /** How the next request is treated. Counts it. `isSettlement`: a delete or an acknowledgement. */
  next(isSettlement = false): Treatment {
    const { fault, clock } = this.#options;
    const active = fault();
    if (active !== this.#fault) this.#turn = 0;
    this.#fault = active;
    if (active?.name === 'brownout') {
      const treatment = BROWNOUT[this.#turn] ?? 'pass';
      this.#turn = (this.#turn + 1) % BROWNOUT.length;
      return treatment;
    }
    if (active?.name !== 'throttle' || (active.settlementsOnly && !isSettlement)) return 'pass';
    const second = Math.floor(clock.monoMs() / 1000);
    if (second !== this.#second) this.#passed = 0;
    this.#second = second;
    if (this.#passed >= active.perSecond) {
      this.#turnedAway += 1;
      return 'throttled';
    }
    this.#passed += 1;
    return 'pass';
  }

  /** The wait of a `late` request. */
  async wait(): Promise<void> {
    const { fault, clock, entropy } = this.#options;
    const active = fault();
    if (!active) return;
    await clock.sleep(Math.max(0, active.latencyMs + (entropy.float() * 2 - 1) * active.jitterMs));
  }
}

/** The fault as the router's side has it: null unless it is of both sides. */
export function sourceSide(fault: Fault | null): Fault | null {
  return fault?.bothSides === true ? fault : null;
}
