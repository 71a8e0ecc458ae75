/**
 * A gateway around the real routing core on a virtual clock: every stream gets a record each `every`; an
 * envelope goes to its first candidates, to the next one when a try fails, and to the next one as well when a
 * live one outlives its hedge delay, as agent/forward/delivery/delivery.ts does it; unaccepted envelopes
 * wait, and drain one by one beside the live records. A provider has at most eight tries under way. One seed,
 * one run (I11).
 */
import type { Cut, Outcome } from '../../agent/providers/publisher.ts';
import {
  candidates,
  deadlineMs,
  type Effect,
  hedgeDelayMs,
  initialState,
  mayHedge,
  type RoutingEvent,
  type RoutingState,
  transition,
} from '../../agent/routing/core/core.ts';
import { type Entropy, seededEntropy } from '../../shared/entropy.ts';
import type { Policy, ProviderFacts } from '../../shared/policy/policy.ts';
import type { Behaviour } from '../agent/routing/core/world.ts';
import { type Weather, weatherOf } from './weather.ts';

const STEP_MS = 5;
const TICK_MS = 100;
const IN_FLIGHT_MAX = 8;
const ENVELOPE_BYTES = 3000;
const PROBE_BYTES = 200;
/** Envelopes from the buffer that a stream begins beside each live one. */
const DRAIN_PER_PUBLISH = 2;
/** As agent/providers/azure/connection.ts has it: tries that end together were on one connection. */
const CONNECT_SPACING_MS = 250;
/** Monotonic time never starts at nought on a gateway. */
const EPOCH_MS = 1000;

export type Logged = Effect & { atMs: number };

interface Envelope {
  stream: string;
  isLive: boolean;
  asked: Set<string>;
  accepted: Set<string>;
  flights: number;
  /** Hedges under way beside the tries that they are to overtake. */
  hedges: number;
  /** Number in its stream. */
  turn: number;
}

interface Landing {
  atMs: number;
  startedMs: number;
  provider: string;
  outcome: Outcome;
  /** Null for a probe. */
  envelope: Envelope | null;
  /** When it is hedged; null: not (any more). */
  hedgeMs: number | null;
  isHedge: boolean;
  /** How the provider ends its connection then; null: it does not. */
  cut: Cut | null;
}

export class SimulatedGateway {
  /** Since the case began. */
  nowMs: number = 0;
  state: RoutingState;
  readonly log: Logged[] = [];
  /** Publishes started, without probes. */
  readonly sent: Array<{ atMs: number; provider: string; stream: string }> = [];
  /** Hedges sent, by the provider that was too slow. */
  readonly hedged: Array<{ atMs: number; provider: string }> = [];
  readonly #everyMs: number;
  readonly #entropy: Entropy;
  readonly #weather = new Map<string, { sinceMs: number; weather: Weather }>();
  readonly #inFlight = new Map<string, number>();
  readonly #cutMs = new Map<string, number>();
  #waiting: Envelope[] = [];
  #landings: Landing[] = [];
  #turn = 0;

  constructor(options: { policy: Policy; providers: ProviderFacts[]; everyMs: number; seed: number }) {
    this.#everyMs = options.everyMs;
    this.#entropy = seededEntropy(options.seed);
    this.state = initialState(options.policy, options.providers, EPOCH_MS);
    for (const { name } of options.providers) this.weather(name, 'ok');
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  weather(provider: string, text: string): void {
    this.#weather.set(provider, { sinceMs: this.nowMs, weather: weatherOf(text) });
  }

  runUntil(endMs: number): void {
    while (this.nowMs < endMs) {
      this.nowMs += STEP_MS;
      this.#land();
      this.#hedge();
      if (this.nowMs % TICK_MS === 0) this.dispatch({ kind: 'tick' });
      if (this.nowMs % this.#everyMs === 0) this.#publish();
    }
  }

  stall(durationMs: number): void {
    this.nowMs += durationMs;
  }

  dispatch(event: RoutingEvent): void {
    const { state, effects } = transition(this.state, event, EPOCH_MS + this.nowMs);
    this.state = state;
    for (const effect of effects) {
      this.log.push({ ...effect, atMs: this.nowMs });
      if (effect.kind === 'probe') this.#start(effect.provider, null);
    }
  }

  #publish(): void {
    this.#turn += 1;
    const streams = this.state.streams.map(({ name }) => name);
    const drained = streams.flatMap((stream) =>
      this.#waiting.filter((envelope) => envelope.stream === stream).slice(0, DRAIN_PER_PUBLISH),
    );
    this.#waiting = this.#waiting.filter((envelope) => !drained.includes(envelope));
    const live = streams.map((stream) => ({
      stream,
      isLive: true,
      asked: new Set<string>(),
      accepted: new Set<string>(),
      flights: 0,
      hedges: 0,
      turn: this.#turn,
    }));
    for (const envelope of [...live, ...drained]) this.#advance(envelope);
  }

  /**
   * Asks as many providers as are still wanted; back to the buffer when none may be asked and none is being
   * asked.
   */
  #advance(envelope: Envelope): void {
    const copies = this.#copies(envelope);
    if (envelope.accepted.size >= copies) {
      this.#takeBack(envelope);
      return;
    }
    const wanted = Math.max(0, copies - envelope.accepted.size - (envelope.flights - envelope.hedges));
    const targets = candidates(this.state, envelope.stream, envelope.asked, envelope.turn).slice(0, wanted);
    for (const provider of targets) {
      if (this.#hasRoom(provider)) this.#ask(provider, envelope, false);
    }
    if (envelope.flights > 0) return;
    envelope.asked = new Set(envelope.accepted);
    envelope.isLive = false;
    this.#waiting.push(envelope);
  }

  #copies({ stream }: Envelope): number {
    return this.state.streams.find(({ name }) => name === stream)?.policy.redundancy ?? 1;
  }

  #hasRoom(provider: string): boolean {
    return (this.#inFlight.get(provider) ?? 0) < IN_FLIGHT_MAX;
  }

  #ask(provider: string, envelope: Envelope, isHedge: boolean): void {
    envelope.asked.add(provider);
    this.sent.push({ atMs: this.nowMs, provider, stream: envelope.stream });
    this.#start(provider, envelope, isHedge);
  }

  #hedge(): void {
    for (const landing of this.#landings) {
      const { envelope, provider, hedgeMs } = landing;
      if (!envelope || hedgeMs === null || hedgeMs > this.nowMs) continue;
      landing.hedgeMs = null;
      if (envelope.accepted.size >= this.#copies(envelope) || !mayHedge(this.state)) continue;
      const targets = candidates(this.state, envelope.stream, envelope.asked, envelope.turn);
      const target = targets.find((name) => this.#hasRoom(name));
      if (target === undefined) continue;
      this.dispatch({ kind: 'hedged' });
      this.hedged.push({ atMs: this.nowMs, provider });
      envelope.hedges += 1;
      this.#ask(target, envelope, true);
    }
  }

  /** Hedges of an envelope that is delivered. */
  #takeBack(envelope: Envelope): void {
    for (const landing of this.#landings) {
      if (landing.envelope !== envelope || !landing.isHedge) continue;
      landing.outcome = { kind: 'cancelled', sent: true, detail: '' };
      landing.atMs = this.nowMs;
    }
  }

  #start(provider: string, envelope: Envelope | null, isHedge: boolean = false): void {
    const known = this.#weather.get(provider);
    if (!known) throw new Error(`no weather for ${provider}`);
    const behaviour = known.weather(this.nowMs - known.sinceMs, this.#entropy);
    const bytes = envelope ? ENVELOPE_BYTES : PROBE_BYTES;
    const { outcome, latencyMs, cut } = settle(behaviour, deadlineMs(this.state, provider, bytes));
    if (envelope) {
      envelope.flights += 1;
      this.#inFlight.set(provider, (this.#inFlight.get(provider) ?? 0) + 1);
    }
    const startedMs = this.nowMs;
    const delayMs = envelope?.isLive ? hedgeDelayMs(this.state, provider, bytes) : null;
    const hedgeMs = delayMs === null ? null : startedMs + delayMs;
    this.#landings.push({
      atMs: startedMs + latencyMs,
      startedMs,
      provider,
      outcome,
      envelope,
      hedgeMs,
      isHedge,
      cut,
    });
  }

  #cut(provider: string, cut: Cut): void {
    const sinceMs = this.nowMs - (this.#cutMs.get(provider) ?? Number.NEGATIVE_INFINITY);
    if (sinceMs < CONNECT_SPACING_MS) return;
    this.#cutMs.set(provider, this.nowMs);
    this.dispatch({ kind: 'cut', provider, cut });
  }

  #land(): void {
    const due = this.#landings.filter(({ atMs }) => atMs <= this.nowMs).sort((a, b) => a.atMs - b.atMs);
    if (due.length === 0) return;
    this.#landings = this.#landings.filter(({ atMs }) => atMs > this.nowMs);
    for (const { provider, outcome, envelope, startedMs, cut } of due) {
      const latencyMs = this.nowMs - startedMs;
      const bytes = envelope ? ENVELOPE_BYTES : PROBE_BYTES;
      const probe = envelope === null;
      this.dispatch({ kind: 'published', provider, outcome, latencyMs, bytes, probe });
      if (cut !== null) this.#cut(provider, cut);
      if (!envelope) continue;
      envelope.flights -= 1;
      envelope.hedges = Math.max(0, envelope.hedges - 1);
      this.#inFlight.set(provider, (this.#inFlight.get(provider) ?? 1) - 1);
      if (outcome.kind === 'accepted') envelope.accepted.add(provider);
      this.#advance(envelope);
    }
  }
}

function settle(
  behaviour: Behaviour,
  limitMs: number,
): { outcome: Outcome; latencyMs: number; cut: Cut | null } {
  if (behaviour.kind === 'blackhole' || behaviour.latencyMs > limitMs) {
    return { outcome: { kind: 'unknown', cause: 'deadline', detail: '' }, latencyMs: limitMs, cut: null };
  }
  const outcome: Outcome = behaviour.kind === 'accept' ? { kind: 'accepted' } : behaviour.outcome;
  return { outcome, latencyMs: behaviour.latencyMs, cut: behaviour.cut ?? null };
}
