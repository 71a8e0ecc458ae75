/**
 * Replays the recorded past under a policy: the real routing core on a virtual clock, called as the forwarder
 * calls it, with the recorded provider behaviour and load. Pure (I11): one recording and one policy give one
 * result.
 *
 * All records that a stream owes at one step travel as one representative try for each copy, and count in
 * full: routing sees at most ten tries of a stream in a second, the bill sees every envelope. A step is two
 * seconds while nothing is wrong, otherwise 100 ms, the tick of a real agent.
 */

import type { PolicyReplay } from '../../shared/admin-api/simulation.ts';
import type { Policy } from '../../shared/policy/policy.ts';
import type { EnvelopeSizes } from '../../shared/pricing/metering.ts';
import {
  candidates,
  deadlineMs,
  type Effect,
  initialState,
  type RoutingEvent,
  type RoutingState,
  transition,
} from '../routing/core/core.ts';
import { Bill, type Hold } from './bill.ts';
import { probeSizes, StreamLoad } from './load.ts';
import type { RecordedHold, Recording, Span } from './recording.ts';
import { Tally } from './tally.ts';
import { type Met, Weather } from './weather.ts';

const QUIET_STEP_MS = 2000;
const TICK_MS = 100;
/** The meter's check of its limits, less often than in the agent. */
const BILL_EVERY_MS = 10_000;
const TOLD_EVERY_MS = 3_600_000;
/** The senders' bound. */
const IN_FLIGHT_MAX = 8;

/** Records that travel or wait together. */
interface Group {
  load: StreamLoad;
  records: number;
  accepted: ReadonlySet<string>;
  asked: Set<string>;
  flights: number;
}

interface Flight {
  at: number;
  provider: string;
  met: Met;
  /** Null for a probe. */
  group: Group | null;
}

/** Yields the wall time that the replay has come to, about once for each hour of the recording. */
export function* replay(
  recording: Recording,
  policy: Policy,
  name: string,
): Generator<number, PolicyReplay, void> {
  const run = new Replay(recording, policy);
  for (const span of recording.spans) yield* run.through(span);
  return run.result(name);
}

class Replay {
  readonly #recording: Recording;
  readonly #policy: Policy;
  readonly #weather: ReadonlyMap<string, Weather>;
  readonly #loads: readonly StreamLoad[];
  readonly #probe: EnvelopeSizes;
  readonly #tally: Tally;
  readonly #bill: Bill;
  readonly #heldMs = new Map<string, number>();
  #state: RoutingState;
  #now = 0;
  #flights: Flight[] = [];
  /** Groups that are not under way; one for each stream and set of providers that hold it. */
  #waiting = new Map<string, Group>();
  #metered: readonly Hold[] = [];
  #billedAt = Number.NEGATIVE_INFINITY;
  #nextHold = 0;
  /** Turn counter for shared streams. */
  #turn = 0;

  constructor(recording: Recording, policy: Policy) {
    const { gateway, providers, tries, load } = recording;
    const streams = Object.keys(policy.streams);
    this.#recording = recording;
    this.#policy = policy;
    this.#weather = new Map(providers.map(({ name }) => [name, new Weather(name, tries.get(name) ?? [])]));
    this.#loads = streams.map((stream) => new StreamLoad(gateway, stream, load));
    this.#probe = probeSizes(gateway);
    this.#tally = new Tally(streams);
    this.#bill = new Bill(providers, policy.cost, recording.spans[0]?.from ?? 0);
    this.#state = initialState(policy, providers, 0);
  }

  /**
   * Replays one run of the agent: it begins without knowledge of its providers, and with the waiting records.
   */
  *through({ from, to }: Span): Generator<number, void, void> {
    let told = from;
    this.#state = initialState(this.#policy, this.#recording.providers, from);
    this.#now = from;
    for (const { group } of this.#flights) if (group) this.#wait(group);
    this.#flights = [];
    this.#restoreHolds(from);
    while (this.#now < to) {
      const until = Math.min(to, this.#now + (isQuiet(this.#state) ? QUIET_STEP_MS : TICK_MS));
      this.#step(until);
      if (until - told < TOLD_EVERY_MS) continue;
      told = until;
      yield until;
    }
  }

  result(policy: string): PolicyReplay {
    const streams = this.#tally.streams(this.#recording.switches);
    const providers = this.#recording.providers.map(({ name }) => {
      const { units, usd, possibleUsd } = this.#bill.of(name);
      const heldMs = Math.round(this.#heldMs.get(name) ?? 0);
      return { provider: name, units: Math.round(units), usd, possibleUsd, heldMs };
    });
    const switches = streams.flatMap((stream) => Object.values(stream.switches));
    return {
      policy,
      streams,
      providers,
      usd: providers.reduce((sum, { usd }) => sum + usd, 0),
      switches: switches.reduce((sum, count) => sum + count, 0),
      nowhereMs: Math.round(this.#tally.nowhereMs),
      atRiskMs: Math.round(this.#tally.atRiskMs),
    };
  }

  #step(until: number): void {
    const span = { from: this.#now, to: until };
    this.#tally.passed(this.#state, until - span.from);
    for (const provider of new Set(this.#metered.map((hold) => hold.provider)))
      this.#heldMs.set(provider, (this.#heldMs.get(provider) ?? 0) + until - span.from);
    this.#land(until);
    this.#now = until;
    this.#changeHolds(until);
    if (until - this.#billedAt >= BILL_EVERY_MS) this.#account(until);
    this.#dispatch({ kind: 'tick' });
    for (const load of this.#loads) this.#arrive(load, load.arrived(span));
    this.#send();
  }

  #arrive(load: StreamLoad, records: number): void {
    if (records > 0) this.#wait({ load, records, accepted: new Set(), asked: new Set(), flights: 0 });
    let waiting = 0;
    for (const group of this.#waiting.values()) if (group.load === load) waiting += group.records;
    this.#tally.carried(load.stream, records, waiting - records);
  }

  #wait({ load, records, accepted }: Group): void {
    const key = `${load.stream} ${[...accepted].sort().join(' ')}`;
    const known = this.#waiting.get(key);
    if (known) known.records += records;
    else this.#waiting.set(key, { load, records, accepted, asked: new Set(accepted), flights: 0 });
  }

  #send(): void {
    for (const [key, group] of [...this.#waiting]) {
      const isUnderWay = this.#advance(group);
      if (isUnderWay) this.#waiting.delete(key);
    }
  }

  /**
   * Asks as many further providers as the stream needs, as agent/forward/delivery/delivery.ts does; false
   * when no provider holds the group or is asked.
   */
  #advance(group: Group): boolean {
    const copies = this.#policy.streams[group.load.stream]?.redundancy ?? 1;
    const wanted = copies - group.accepted.size - group.flights;
    if (wanted > 0) {
      const open = candidates(this.#state, group.load.stream, group.asked, this.#turn).slice(0, wanted);
      for (const provider of open)
        if (this.#underWayAt(provider) < IN_FLIGHT_MAX) {
          this.#turn += 1;
          this.#start(provider, group);
        }
    }
    return group.flights > 0 || group.accepted.size >= copies;
  }

  #underWayAt(provider: string): number {
    return this.#flights.filter((flight) => flight.provider === provider).length;
  }

  #start(provider: string, group: Group | null): void {
    const { payloadBytes } = group?.load.sizes ?? this.#probe;
    const met = this.#weather
      .get(provider)
      ?.meets(this.#now, deadlineMs(this.#state, provider, payloadBytes));
    if (!met) return;
    if (group) {
      group.asked.add(provider);
      group.flights += 1;
    }
    this.#flights.push({ at: this.#now + met.latencyMs, provider, met, group });
  }

  /** Ends the tries that are due until then, in their order. */
  #land(until: number): void {
    for (;;) {
      const next = this.#flights.reduce<Flight | null>(
        (first, flight) => (flight.at <= until && (!first || flight.at < first.at) ? flight : first),
        null,
      );
      if (!next) return;
      this.#flights.splice(this.#flights.indexOf(next), 1);
      this.#now = Math.max(this.#now, next.at);
      this.#landed(next);
    }
  }

  #landed({ provider, met: { outcome, latencyMs }, group }: Flight): void {
    const sizes = group?.load.sizes ?? this.#probe;
    const count = group ? group.records / group.load.recordsPerEnvelope : 1;
    this.#bill.add(provider, group?.load.stream ?? 'probes', sizes, count, outcome);
    const bytes = sizes.payloadBytes;
    this.#dispatch({ kind: 'published', provider, outcome, latencyMs, bytes, probe: group === null });
    if (!group) return;
    group.flights -= 1;
    if (outcome.kind === 'accepted') group.accepted = new Set([...group.accepted, provider]);
    if (!this.#advance(group)) this.#wait(group);
  }

  #account(nowMs: number): void {
    this.#billedAt = nowMs;
    const { holds, units } = this.#bill.at(nowMs);
    const has = (list: readonly Hold[], { provider, reason }: Hold): boolean =>
      list.some((other) => other.provider === provider && other.reason === reason);
    const [began, ended] = [
      holds.filter((hold) => !has(this.#metered, hold)),
      this.#metered.filter((hold) => !has(holds, hold)),
    ];
    this.#metered = holds;
    for (const [provider, unitsThisMonth] of units)
      this.#dispatch({ kind: 'usage', provider, unitsThisMonth, quotaUsed: null });
    for (const { provider, reason } of began) this.#dispatch({ kind: 'hold', provider, reason });
    for (const { provider, reason } of ended) this.#dispatch({ kind: 'release', provider, reason });
  }

  /**
   * The state begins without holds: applies those in force. Holds that came and went before are not events of
   * this run.
   */
  #restoreHolds(nowMs: number): void {
    const { holds } = this.#recording;
    const next = holds.findIndex(({ at }) => at > nowMs);
    this.#nextHold = next === -1 ? holds.length : next;
    const inForce = new Map<string, RecordedHold>();
    for (const hold of holds.slice(0, this.#nextHold)) inForce.set(`${hold.reason} ${hold.provider}`, hold);
    for (const { on, provider, reason } of [
      ...inForce.values(),
      ...this.#metered.map((hold) => ({ ...hold, on: true })),
    ])
      if (on) this.#dispatch({ kind: 'hold', provider, reason });
  }

  #changeHolds(nowMs: number): void {
    const { holds } = this.#recording;
    for (let hold = holds[this.#nextHold]; hold && hold.at <= nowMs; hold = holds[this.#nextHold]) {
      const { provider, reason, on } = hold;
      this.#dispatch({ kind: on ? 'hold' : 'release', provider, reason });
      this.#nextHold += 1;
    }
  }

  #dispatch(event: RoutingEvent): void {
    const { state, effects } = transition(this.#state, event, this.#now);
    this.#state = state;
    for (const effect of effects) this.#carryOut(effect);
  }

  #carryOut(effect: Effect): void {
    this.#tally.effect(effect);
    if (effect.kind === 'probe') this.#start(effect.provider, null);
  }
}

/** Whether nothing is wrong, or can be done now: two seconds then make no difference. */
function isQuiet({ providers, nowMs }: RoutingState): boolean {
  return providers.every(({ health, holds, onTrial }) => {
    if (holds.length > 0) return true;
    if (health.kind === 'open') return health.untilMs - nowMs >= QUIET_STEP_MS;
    return health.kind === 'healthy' && health.failures === 0 && !onTrial;
  });
}
