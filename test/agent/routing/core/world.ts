/**
 * A small deterministic world around the routing core: providers that behave as told, a driver that publishes
 * to the first candidate, ticks every 100 ms and carries out probes. Every state is frozen before it goes in,
 * so that a core that changed its input would throw (I11).
 */
import type { Cut, Outcome } from '../../../../agent/providers/publisher.ts';
import {
  candidates,
  deadlineMs,
  type Effect,
  initialState,
  type RoutingEvent,
  type RoutingState,
  transition,
} from '../../../../agent/routing/core/core.ts';
import { type Policy, type ProviderFacts, policySchema } from '../../../../shared/policy/policy.ts';

/** A provider's answer to a try that starts now. */
export type Behaviour = (
  | { kind: 'accept'; latencyMs: number }
  /** Nothing is ever answered. */
  | { kind: 'blackhole' }
  | { kind: 'fail'; outcome: Outcome; latencyMs: number }
) & {
  /** How the provider ends the connection when the try has ended. */
  cut?: Cut;
};

export const accept: Behaviour = { kind: 'accept', latencyMs: 20 };
export const blackhole: Behaviour = { kind: 'blackhole' };
export const refuse: Behaviour = {
  kind: 'fail',
  latencyMs: 5,
  outcome: { kind: 'retryable', cause: 'connection-refused', detail: 'ECONNREFUSED' },
};

export type Weather = (nowMs: number) => Behaviour;

const STEP_MS = 25;
const TICK_MS = 100;

export function facts(name: string, overrides: Partial<ProviderFacts> = {}): ProviderFacts {
  return {
    name,
    type: 'mqtt',
    region: 'eu-west-1',
    enabled: true,
    priority: 1,
    slaPercent: 99.9,
    certifications: [],
    ...overrides,
  };
}

/** Durations as in a policy file. The stream `telemetry` takes everything unless `streams` says otherwise. */
export function policyOf(document: Record<string, unknown> = {}): Policy {
  return policySchema.parse(document);
}

interface Landing {
  atMs: number;
  event: RoutingEvent;
}

export type LoggedEffect = Effect & { atMs: number };

export class World {
  nowMs: number;
  state: RoutingState;
  readonly effects: LoggedEffect[] = [];
  /** Real publishes started, per provider. */
  readonly sent = new Map<string, number>();
  /** Publishes that found no candidate. */
  starved = 0;
  readonly #weather = new Map<string, Weather>();
  readonly #publishEveryMs: number;
  #landings: Landing[] = [];

  constructor(options: {
    policy: Policy;
    providers: ProviderFacts[];
    startMs?: number;
    publishEveryMs?: number;
  }) {
    this.nowMs = options.startMs ?? 1000;
    this.#publishEveryMs = options.publishEveryMs ?? 50;
    this.state = initialState(options.policy, options.providers, this.nowMs);
  }

  weather(provider: string, weather: Behaviour | Weather): void {
    this.#weather.set(provider, typeof weather === 'function' ? weather : () => weather);
  }

  run(durationMs: number): void {
    const endMs = this.nowMs + durationMs;
    while (this.nowMs < endMs) {
      this.nowMs += STEP_MS;
      this.#land();
      if (this.nowMs % TICK_MS === 0) this.dispatch({ kind: 'tick' });
      if (this.nowMs % this.#publishEveryMs === 0) this.publish();
    }
  }

  dispatch(event: RoutingEvent): void {
    deepFreeze(this.state);
    const { state, effects } = transition(this.state, event, this.nowMs);
    this.state = state;
    for (const effect of effects) {
      this.effects.push({ ...effect, atMs: this.nowMs });
      if (effect.kind === 'probe') this.#start(effect.provider, 200, true);
    }
  }

  publish(stream = 'telemetry', bytes = 3000): void {
    const [provider] = candidates(this.state, stream, new Set());
    if (provider === undefined) {
      this.starved += 1;
      return;
    }
    this.sent.set(provider, (this.sent.get(provider) ?? 0) + 1);
    this.#start(provider, bytes, false);
  }

  chosen(stream = 'telemetry'): string | null {
    return this.state.streams.find(({ name }) => name === stream)?.chosen ?? null;
  }

  health(provider: string): string | undefined {
    return this.state.providers.find(({ facts }) => facts.name === provider)?.health.kind;
  }

  switches(): Array<Extract<LoggedEffect, { kind: 'switch' }>> {
    return this.effects.filter((effect) => effect.kind === 'switch');
  }

  probes(provider: string): Array<Extract<LoggedEffect, { kind: 'probe' }>> {
    return this.effects
      .filter((effect) => effect.kind === 'probe')
      .filter((probe) => probe.provider === provider);
  }

  #start(provider: string, bytes: number, probe: boolean): void {
    const behaviour = this.#weather.get(provider)?.(this.nowMs) ?? accept;
    const limitMs = deadlineMs(this.state, provider, bytes);
    const { outcome, latencyMs } = settle(behaviour, limitMs);
    const event: RoutingEvent = { kind: 'published', provider, outcome, latencyMs, bytes, probe };
    this.#landings.push({ atMs: this.nowMs + latencyMs, event });
  }

  #land(): void {
    const due = this.#landings.filter(({ atMs }) => atMs <= this.nowMs).sort((a, b) => a.atMs - b.atMs);
    this.#landings = this.#landings.filter(({ atMs }) => atMs > this.nowMs);
    for (const { event } of due) this.dispatch(event);
  }
}

function settle(behaviour: Behaviour, limitMs: number): { outcome: Outcome; latencyMs: number } {
  const late: Outcome = { kind: 'unknown', cause: 'deadline', detail: 'no answer' };
  if (behaviour.kind === 'blackhole') return { outcome: late, latencyMs: limitMs };
  if (behaviour.latencyMs > limitMs) return { outcome: late, latencyMs: limitMs };
  const outcome: Outcome = behaviour.kind === 'accept' ? { kind: 'accepted' } : behaviour.outcome;
  return { outcome, latencyMs: behaviour.latencyMs };
}

export function deepFreeze(value: unknown): void {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return;
  Object.freeze(value);
  if (Array.isArray(value)) for (const part of value) deepFreeze(part);
  else for (const part of Object.values(value)) deepFreeze(part);
}
