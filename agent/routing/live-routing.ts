/** Drives the pure routing core: provides the time, keeps the state, carries out the effects. */

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
  isLarge,
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
  uploadMs,
} from './core/core.ts';

const TICK_MS = 100;
const LIMITS = ['quota', 'quota-exhausted', 'throttled'] as const;

/** Number of switches kept for `status` and `explain` (I10). */
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
   * `onProbe` publishes a heartbeat at a provider; `onChange` is called when another provider may have become
   * usable.
   */
  start(handlers: { onProbe: (provider: string) => void; onChange: () => void }): void {
    this.#onProbe = handlers.onProbe;
    this.#onChange = handlers.onChange;
    this.#ticker = this.#clock.every(TICK_MS, () => this.dispatch({ kind: 'tick' }));
  }

  /** Stops learning: tries that end because the agent stops say nothing about their providers. */
  stop(): void {
    this.#ticker?.cancel();
    this.#ticker = null;
    this.#isStopped = true;
  }

  /** `listener` is called with each event and its effects. */
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
   * The providers for the envelope of this turn, `wanted` at once. Where several share the stream, the others
   * follow one by one: a provider without room passes its turn on, so that a slow one does not delay the
   * others.
   */
  targets(stream: string, exclude: ReadonlySet<string>, turn: number, wanted: number): string[][] {
    const open = this.candidates(stream, exclude, turn);
    if (open.length === 0) return [];
    const sharing = sharesOf(this.#state, stream).map(({ provider }) => provider);
    const others = sharing.length > 1 ? open.slice(wanted).filter((name) => sharing.includes(name)) : [];
    return [open.slice(0, wanted), ...others.map((name) => [name])];
  }

  /** Providers that may take the stream now or later. */
  possible(stream: string): string[] {
    return possible(this.#state, stream);
  }

  deadlineMs(provider: string, bytes: number): number {
    return deadlineMs(this.#state, provider, bytes);
  }

  /** Time of the next try of a single record that was not accepted in `missedMs`; the same at the bound. */
  uploadMs(bytes: number, missedMs: number): number {
    return uploadMs(this.#state, bytes, missedMs);
  }

  /** Whether an envelope is larger than live ones. */
  isLarge(bytes: number): boolean {
    return isLarge(this.#state, bytes);
  }

  /**
   * The providers that a stream with this number of copies uses now, best first: several for a shared stream.
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

  /** The part of the state that must survive a restart. */
  memory(): RoutingMemory {
    return memoryOf(this.#state);
  }

  /** Number of changes of the state, except by the passing of time. */
  get changes(): number {
    return this.#changes;
  }

  explain(stream: string): ProviderExplanation[] {
    return explain(this.#state, stream);
  }

  providers(): ProviderStatus[] {
    return providerStatus(this.#state);
  }

  /**
   * A limit that holds the provider: one of the account, or one that it enforces without a word; null
   * without.
   */
  limitOf(provider: string): 'throttled' | 'quota' | 'quota-exhausted' | null {
    const holds = this.providers().find((one) => one.provider === provider)?.holds ?? [];
    return LIMITS.find((reason) => holds.includes(reason)) ?? null;
  }

  /** The present inputs of the scores. */
  scoreInputs(): ProviderInputs[] {
    return scoreInputsOf(this.#state);
  }

  /** By stream, the provider that it goes to first; null for none. */
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
