/** Drives the pure routing core: gives it the time, keeps its state, carries out its effects. */
import { type Clock, isoTime, type Timer } from '../../shared/clock.ts';
import type { Logger } from '../../shared/log.ts';
import type { Policy, ProviderFacts } from '../../shared/policy.ts';
import type { RoutingSwitch } from '../../shared/status.ts';
import {
  candidates,
  deadlineMs,
  type Effect,
  explain,
  initialState,
  type ProviderExplanation,
  type ProviderStatus,
  providerStatus,
  type RoutingEvent,
  type RoutingState,
  transition,
} from '../routing/core.ts';

const TICK_MS = 100;
/** Switches kept for `status` and `explain` (I10). */
const SWITCHES_KEPT = 50;

export class LiveRouting {
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #switches: RoutingSwitch[] = [];
  #state: RoutingState;
  #ticker: Timer | null = null;
  #onProbe: (provider: string) => void = () => undefined;
  #onChange: () => void = () => undefined;

  constructor(options: { policy: Policy; providers: ProviderFacts[]; clock: Clock; log: Logger }) {
    this.#clock = options.clock;
    this.#log = options.log;
    this.#state = initialState(options.policy, options.providers, options.clock.monoMs());
  }

  /** `onProbe` publishes a heartbeat at a provider; `onChange` is told when another provider may have become usable. */
  start(handlers: { onProbe: (provider: string) => void; onChange: () => void }): void {
    this.#onProbe = handlers.onProbe;
    this.#onChange = handlers.onChange;
    this.#ticker = this.#clock.every(TICK_MS, () => this.dispatch({ kind: 'tick' }));
  }

  stop(): void {
    this.#ticker?.cancel();
    this.#ticker = null;
  }

  dispatch(event: RoutingEvent): void {
    const { state, effects } = transition(this.#state, event, this.#clock.monoMs());
    this.#state = state;
    for (const effect of effects) this.#carryOut(effect);
  }

  candidates(stream: string, exclude: ReadonlySet<string>): string[] {
    return candidates(this.#state, stream, exclude);
  }

  deadlineMs(provider: string, bytes: number): number {
    return deadlineMs(this.#state, provider, bytes);
  }

  explain(stream: string): ProviderExplanation[] {
    return explain(this.#state, stream);
  }

  providers(): ProviderStatus[] {
    return providerStatus(this.#state);
  }

  /** Newest last. */
  switches(): readonly RoutingSwitch[] {
    return this.#switches;
  }

  #carryOut(effect: Effect): void {
    switch (effect.kind) {
      case 'probe':
        if (this.#ticker) this.#onProbe(effect.provider);
        return;
      case 'switch': {
        const { stream, from, to, reason } = effect;
        this.#switches.push({ at: isoTime(this.#clock.wallMs()), stream, from, to, reason });
        if (this.#switches.length > SWITCHES_KEPT) this.#switches.shift();
        this.#log.info({ event: 'routing.switch', stream, from, to, reason });
        this.#onChange();
        return;
      }
      case 'hold': {
        const { provider, reason, begins } = effect;
        this.#log.warn({ event: begins ? 'routing.hold' : 'routing.release', provider, reason });
        this.#onChange();
        return;
      }
      case 'health': {
        const { provider, from, to, reason } = effect;
        this.#log.info({ event: 'routing.health', provider, from, to, reason });
        this.#onChange();
        return;
      }
    }
  }
}
