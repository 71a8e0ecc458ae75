/** Starts and counts hedges for the forwarder. Routing decides when and where to hedge (I11). */
import type { Clock, Timer } from '../../../shared/clock.ts';
import type { Policy } from '../../../shared/policy/policy.ts';
import type { OutboundEnvelope } from '../../providers/publisher.ts';
import type { LiveRouting } from '../../routing/live-routing.ts';
import type { Lane } from '../queue/lanes.ts';
import type { HedgeEnd } from './delivery.ts';
import type { Reservations } from './reservations.ts';

/** Hedges of slow tries at one provider: how many were sent, and how they ended. */
export type HedgeCounters = Record<'sent' | HedgeEnd, number>;

export class Hedging {
  /** Its rules; another policy changes them while it runs. */
  policy: Policy['hedge'];
  readonly #routing: LiveRouting;
  readonly #clock: Clock;
  readonly #counters = new Map<string, HedgeCounters>();

  constructor(options: {
    policy: Policy['hedge'];
    routing: LiveRouting;
    providers: Iterable<string>;
    clock: Clock;
  }) {
    this.policy = options.policy;
    this.#routing = options.routing;
    this.#clock = options.clock;
    for (const provider of options.providers) {
      this.#counters.set(provider, { sent: 0, won: 0, lost: 0, cancelled: 0, failed: 0 });
    }
  }

  /** By the slow provider. */
  get counters(): ReadonlyMap<string, Readonly<HedgeCounters>> {
    return this.#counters;
  }

  /**
   * Calls `run` when a try that begins now outlives its hedge delay. Null for a backlog envelope: it has
   * waited in the buffer and can wait a deadline longer, and hedges of the backlog would use up the budget of
   * live envelopes.
   */
  afterDelay(provider: string, message: OutboundEnvelope, lane: Lane, run: () => void): Timer | null {
    if (lane === 'backlog' && !this.policy.backlog) return null;
    const delayMs = this.#routing.hedgeDelayMs(provider, message.bytes.length);
    return delayMs === null ? null : this.#clock.setTimer(delayMs, run);
  }

  /**
   * The best other provider with room, when the budget allows a hedge now; the hedge is charged to the
   * budget.
   */
  take(
    slow: string,
    stream: string,
    exclude: ReadonlySet<string>,
    reservations: Reservations,
  ): string | null {
    if (!this.#routing.mayHedge()) return null;
    const targets = this.#routing.candidates(stream, exclude, reservations.turn);
    const target = targets.find((provider) => reservations.reserve(provider));
    if (target === undefined) return null;
    this.#routing.dispatch({ kind: 'hedged' });
    this.#count(slow, 'sent');
    return target;
  }

  ended(slow: string, end: HedgeEnd): void {
    this.#count(slow, end);
  }

  #count(slow: string, what: 'sent' | HedgeEnd): void {
    const counters = this.#counters.get(slow);
    if (counters) counters[what] += 1;
  }
}
