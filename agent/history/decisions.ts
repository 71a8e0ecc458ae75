/** The routing core's events and effects as history lines; see RoutingEvent and Effect. */
import type { Policy, ProviderFacts } from '../../shared/policy/policy.ts';
import type { Effect, ProviderInputs, ProviderStatus, RoutingEvent } from '../routing/core/core.ts';
import type { LineOf } from './lines.ts';
import { scoreInputsLine } from './score-input-lines.ts';
import { Tries } from './tries.ts';

/** Bound on lines between two writes: a policy could let a breaker swing ten times a second (I10). */
const LINES_MAX = 2000;

type DecisionLine = LineOf<'switch' | 'health' | 'hold' | 'setup' | 'seen'>;

/** The routing setup that the history records. */
export interface Setup {
  gateway: string;
  policy: Policy;
  providers: readonly ProviderFacts[];
}

export class Decisions {
  readonly #tries = new Tries();
  #setup: Setup;
  /**
   * When the present setup began. Each file repeats it in its head, with this time, so that a query for the
   * moments before finds the right policy.
   */
  #setupSinceMs: number;
  #lines: DecisionLine[] = [];

  readonly #inputs: () => readonly ProviderInputs[];

  /** `inputs`: the present inputs of routing's scores. */
  constructor(setup: Setup, inputs: () => readonly ProviderInputs[], nowMs: number) {
    this.#setup = setup;
    this.#inputs = inputs;
    this.#setupSinceMs = nowMs;
  }

  observed(event: RoutingEvent, effects: readonly Effect[], nowMs: number): void {
    const m = Math.round(nowMs);
    switch (event.kind) {
      case 'published':
        this.#tries.tried(event.provider, event.outcome, event.latencyMs, nowMs);
        break;
      case 'hold':
      case 'release':
        this.#push({ k: 'hold', m, p: event.provider, why: event.reason, on: event.kind === 'hold' });
        break;
      case 'policy':
        this.#setup = { ...this.#setup, policy: event.policy };
        this.#setupSinceMs = nowMs;
        this.#push(this.setupLine());
        break;
      case 'tick':
      case 'usage':
        break;
    }
    if (effects.some(({ kind }) => kind === 'switch')) this.#push(scoreInputsLine(this.#inputs(), nowMs));
    for (const effect of effects) {
      const { kind } = effect;
      if (kind === 'hold')
        this.#push({ k: kind, m, p: effect.provider, why: effect.reason, on: effect.begins });
      if (kind === 'switch')
        this.#push({ k: kind, m, s: effect.stream, from: effect.from, to: effect.to, why: effect.reason });
      if (kind === 'health')
        this.#push({ k: kind, m, p: effect.provider, from: effect.from, to: effect.to, why: effect.reason });
    }
  }

  setupLine(): LineOf<'setup'> {
    const { gateway, policy, providers } = this.#setup;
    return { k: 'setup', m: Math.round(this.#setupSinceMs), gw: gateway, policy, providers: [...providers] };
  }

  lines(): Array<DecisionLine | LineOf<'tries'>> {
    return [...this.#lines, ...this.#tries.lines()];
  }

  take(nowMs: number): Array<DecisionLine | LineOf<'tries'>> {
    const tries = this.#tries.take();
    if (tries.length > 0) this.#push(scoreInputsLine(this.#inputs(), nowMs));
    const lines = [...this.#lines, ...tries];
    this.#lines = [];
    return lines;
  }

  #push(line: DecisionLine): void {
    this.#lines.push(line);
    if (this.#lines.length > LINES_MAX) this.#lines.shift();
  }
}

/** Routing's present state. `begins`: the agent has just started. */
export function stateLine(
  providers: readonly ProviderStatus[],
  chosen: Record<string, string | null>,
  begins: boolean,
  nowMs: number,
): LineOf<'state'> {
  return {
    k: 'state',
    m: Math.round(nowMs),
    begins,
    chosen,
    health: Object.fromEntries(providers.map(({ provider, health, reason }) => [provider, [health, reason]])),
    holds: Object.fromEntries(
      providers.flatMap(({ provider, holds }) => (holds.length > 0 ? [[provider, [...holds]]] : [])),
    ),
  };
}
