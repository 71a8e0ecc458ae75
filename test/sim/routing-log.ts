/**
 * The routing core's own log lines, checked against what it promises: no envelope behind an open breaker, no
 * switch by choice within the dwell.
 */
import { HEARTBEAT_STREAM } from '../../shared/envelope/envelope.ts';
import type { Policy } from '../../shared/policy/policy.ts';
import type { ProcessClock } from './time.ts';
import type { Truth } from './truth.ts';

const BY_CHOICE: ReadonlySet<unknown> = new Set(['score', 'degraded', 'preferred']);
const CLOSED: ReadonlySet<unknown> = new Set(['open', 'probing']);
/** Log lines of one agent in one second, at most (I10). */
const LINES_PER_SECOND_MAX = 200;

export class RoutingLog {
  readonly #truth: Truth;
  readonly #clock: ProcessClock;
  readonly #policy: Policy;
  readonly #health = new Map<string, unknown>();
  readonly #switchedMs = new Map<unknown, number>();
  #second = 0;
  #lines = 0;

  constructor(options: { truth: Truth; clock: ProcessClock; policy: Policy }) {
    this.#truth = options.truth;
    this.#clock = options.clock;
    this.#policy = options.policy;
  }

  /** Takes in one log line; whether it is a switch of the stream `telemetry` away from a provider. */
  line(text: string): boolean {
    this.#count();
    const line: Record<string, unknown> = JSON.parse(text);
    const { event, provider, stream, from, to, reason } = line;
    if (event === 'routing.health' && typeof provider === 'string') {
      this.#health.set(provider, to);
      this.#truth.note('health', provider, String(to), String(reason));
    }
    if (event !== 'routing.switch') return false;
    const nowMs = this.#clock.monoMs();
    const sinceMs = nowMs - (this.#switchedMs.get(stream) ?? Number.NEGATIVE_INFINITY);
    const { dwell } = this.#policy.failover;
    const holds = !BY_CHOICE.has(reason) || sinceMs >= dwell;
    this.#truth.check(holds, 'I11', () => `${stream} went to ${to} (${reason}) after ${sinceMs} ms`);
    // Nothing moved: it is what the agent before this one used.
    if (reason !== 'restored') this.#switchedMs.set(stream, nowMs);
    this.#truth.note('switch', String(stream), String(from), String(to), String(reason));
    return stream === 'telemetry' && from !== null;
  }

  /** An envelope leaves for a provider. */
  publishes(provider: string, stream: string): void {
    const isOpen = CLOSED.has(this.#health.get(provider));
    const holds = stream === HEARTBEAT_STREAM || !isOpen;
    this.#truth.check(holds, 'I4', () => `${stream} left for ${provider}, whose breaker is open`);
  }

  #count(): void {
    const second = Math.floor(this.#clock.monoMs() / 1000);
    this.#lines = second === this.#second ? this.#lines + 1 : 1;
    this.#second = second;
    const lines = this.#lines;
    this.#truth.check(lines <= LINES_PER_SECOND_MAX, 'I10', () => `${lines} log lines in one second`);
  }
}
