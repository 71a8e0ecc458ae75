/** Drives the pure routing core: gives it the time, keeps its state, carries out its effects. */

import type { RoutingSwitch } from '../../shared/admin-api/status.ts';
import { type Clock, isoTime, type Timer } from '../../shared/clock.ts';
import type { Logger } from '../../shared/log.ts';
import type { Policy, ProviderFacts } from '../../shared/policy/policy.ts';
import {
  candidates,
  deadlineMs,
  type Effect,
  explain,
  hedgeDelayMs,
  initialState,
  mayHedge,
  memoryOf,
  type ProviderExplanation,
  type ProviderInputs,
  type ProviderStatus,
  possible,
  providerStatus,
  type RoutingEvent,
  type RoutingMemory,
  type RoutingState,
  scoreInputsOf,
  sharesOf,
  transition,
} from './core/core.ts';

const TICK_MS = 100;
/** Switches kept for `status` and `explain` (I10). */
const SWITCHES_KEPT = 50;

export class LiveRouting {
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #switches: RoutingSwitch[] = [];
  #state: RoutingState;
  #ticker: Timer | null = null;
  #changes = 0;
  #isStopped: boolean = false;
  #onProbe: (provider: string) => void = () => undefined;
  #onChange: () => void = () => undefined;
  readonly #steps: Array<(event: RoutingEvent, effects: readonly Effect[]) => void> = [];

  constructor(options: {
    policy: Policy;
    providers: readonly ProviderFacts[];
    clock: Clock;
    log: Logger;
  }) {
    this.#clock = options.clock;
    this.#log = options.log;
    this.#state = initialState(options.policy, options.providers, options.clock.monoMs());
  }

  /**
   * `onProbe` publishes a heartbeat at a provider; `onChange` is told when another provider may have become
   * usable.
   */
  start(handlers: { onProbe: (provider: string) => void; onChange: () => void }): void {
    this.#onProbe = handlers.onProbe;
    this.#onChange = handlers.onChange;
    this.#ticker = this.#clock.every(TICK_MS, () => this.dispatch({ kind: 'tick' }));
  }

  /** From here on nothing is learned: tries that end because we stop say nothing of their providers. */
  stop(): void {
    this.#ticker?.cancel();
    this.#ticker = null;
    this.#isStopped = true;
  }

  /** Called with each event and the effects it had. */
  onStep(listener: (event: RoutingEvent, effects: readonly Effect[]) => void): void {
    this.#steps.push(listener);
  }

  dispatch(event: RoutingEvent): void {
    if (this.#isStopped) return;
    const { state, effects } = transition(this.#state, event, this.#clock.monoMs());
    this.#state = state;
    if (effects.some(({ kind }) => kind !== 'probe')) this.#changes += 1;
    for (const listener of this.#steps) listener(event, effects);
    for (const effect of effects) this.#carryOut(effect);
  }

  candidates(stream: string, exclude: ReadonlySet<string>, turn = 0): string[] {
    return candidates(this.#state, stream, exclude, turn);
  }

  /**
   * The providers that the envelope of that turn should go to, `wanted` at once. Where several share the
   * stream, the others follow one by one: who has no room now gives the turn away, so that one that is slow
   * does not hold up the rest.
   */
  targets(stream: string, exclude: ReadonlySet<string>, turn: number, wanted: number): string[][] {
    const open = this.candidates(stream, exclude, turn);
    if (open.length === 0) return [];
    const sharing = sharesOf(this.#state, stream).map(({ provider }) => provider);
    const others = sharing.length > 1 ? open.slice(wanted).filter((name) => sharing.includes(name)) : [];
    return [open.slice(0, wanted), ...others.map((name) => [name])];
  }

  /** Providers that may take the stream now or in better times. */
  possible(stream: string): string[] {
    return possible(this.#state, stream);
  }

  deadlineMs(provider: string, bytes: number): number {
    return deadlineMs(this.#state, provider, bytes);
  }

  /**
   * The providers that a stream with so many copies uses now, the best first: several where it is shared out.
   */
  using(stream: string, copies: number): string[] {
    const sharing = sharesOf(this.#state, stream).map(({ provider }) => provider);
    return sharing.length > 1 ? sharing : this.candidates(stream, new Set()).slice(0, copies);
  }

  hedgeDelayMs(provider: string, bytes: number): number | null {
    return hedgeDelayMs(this.#state, provider, bytes);
  }

  mayHedge(): boolean {
    return mayHedge(this.#state);
  }

  /** What must survive a restart. */
  memory(): RoutingMemory {
    return memoryOf(this.#state);
  }

  /** How often it has changed, but for the time that passes. */
  get changes(): number {
    return this.#changes;
  }

  explain(stream: string): ProviderExplanation[] {
    return explain(this.#state, stream);
  }

  providers(): ProviderStatus[] {
    return providerStatus(this.#state);
  }

  /** What the scores are made of now. */
  scoreInputs(): ProviderInputs[] {
    return scoreInputsOf(this.#state);
  }

  /** By stream, the one it goes to first; null for none. */
  chosen(): Record<string, string | null> {
    return Object.fromEntries(this.#state.streams.map(({ name, chosen }) => [name, chosen]));
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
