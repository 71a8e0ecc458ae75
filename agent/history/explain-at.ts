/**
 * Reconstructs routing's state at a past moment from the history. Reads the history twice to need little
 * memory: first for the clocks, then for the rest.
 */

import type {
  PastCandidate,
  PastExplanation,
  PastProvider,
  PastTries,
} from '../../shared/admin-api/explanation.ts';
import type { RoutingSwitch } from '../../shared/admin-api/status.ts';
import { isoTime } from '../../shared/clock.ts';
import type { HoldReason } from '../routing/core/core.ts';
import type { History } from './history.ts';
import type { LineOf } from './lines.ts';
import { candidatesThen } from './past-candidates.ts';
import type { Entry } from './read.ts';

const SWITCHES_SHOWN = 5;
/** Lines that are not needed here; they are most of the lines. */
const OTHERS = /^\{"k":"(?:took|gave-up|load)"/;

type Clocked<T> = T & { since: number | null };
type Health = LineOf<'health'>['to'];

/** Null when the history begins later. */
export async function explainAt(history: History, atMs: number): Promise<PastExplanation | null> {
  const clocks = await history.clocks();
  const past = new Past();
  for await (const { boot, line } of history.entries(clocks, (text) => !OTHERS.test(text))) {
    const { wallMs, clock } = clocks.wallOf(boot, line.m);
    if (wallMs > atMs) continue;
    past.saw(line, wallMs, clock);
    past.reaches(Math.min(atMs, wallMs + ('d' in line ? line.d : 0)));
  }
  return past.explained(atMs);
}

class Past {
  #lastMs: number | null = null;
  #clock: LineOf<'clock'>['q'] = 'unsynchronised';
  #setup: LineOf<'setup'> | null = null;
  #inputs: { at: number; line: LineOf<'seen'> } | null = null;
  readonly #chosen = new Map<string, Clocked<{ provider: string | null }>>();
  readonly #health = new Map<string, Clocked<{ kind: Health; reason: string }>>();
  readonly #holds = new Map<string, Set<HoldReason>>();
  readonly #tries = new Map<string, { at: number; line: LineOf<'tries'> }>();
  readonly #switches: RoutingSwitch[] = [];

  /** `at`: when the line begins; not after the requested moment. */
  saw(line: Entry['line'], at: number, clock: LineOf<'clock'>['q']): void {
    this.#clock = clock;
    switch (line.k) {
      case 'setup':
        this.#setup = line;
        return;
      case 'seen':
        this.#inputs = { at, line };
        return;
      case 'state':
        this.#sawState(line, at);
        return;
      case 'switch':
        this.#chosen.set(line.s, { provider: line.to, since: at });
        this.#switched({ at: isoTime(at), stream: line.s, from: line.from, to: line.to, reason: line.why });
        return;
      case 'health':
        this.#health.set(line.p, { kind: line.to, reason: line.why, since: at });
        return;
      case 'hold':
        this.#hold(line.p, line.why, line.on);
        return;
      case 'tries':
        this.#tries.set(line.p, { at, line });
        return;
      default:
    }
  }

  reaches(untilMs: number): void {
    this.#lastMs = Math.max(this.#lastMs ?? untilMs, untilMs);
  }

  explained(atMs: number): PastExplanation | null {
    if (this.#lastMs === null) return null;
    const providers = [...this.#health].map(([provider, { kind, reason, since }]): PastProvider => {
      const tries = this.#tries.get(provider);
      return {
        provider,
        health: kind,
        healthReason: reason,
        since: since === null ? null : isoTime(since),
        holds: [...(this.#holds.get(provider) ?? [])],
        tries: tries ? triesOf(tries.at, tries.line) : null,
      };
    });
    return {
      kind: 'explain-at',
      at: isoTime(atMs),
      recordedUntil: isoTime(this.#lastMs),
      clock: this.#clock,
      policyVersion: this.#setup?.policy.version ?? null,
      weights: this.#setup?.policy.scoring.weights ?? null,
      streams: [...this.#chosen].map(([stream, { provider, since }]) => ({
        stream,
        chosen: provider,
        since: since === null ? null : isoTime(since),
        candidates: this.#candidates(stream, provider),
        switches: this.#switches.filter((entry) => entry.stream === stream).slice(-SWITCHES_SHOWN),
      })),
      providers,
    };
  }

  /** A state line holds the complete state: entries that differ from the known state began no later. */
  #sawState({ begins, chosen, health, holds }: LineOf<'state'>, at: number): void {
    if (begins) {
      this.#chosen.clear();
      this.#health.clear();
      this.#inputs = null;
    }
    for (const [stream, provider] of Object.entries(chosen)) {
      if (this.#chosen.get(stream)?.provider !== provider || begins)
        this.#chosen.set(stream, { provider, since: begins ? at : null });
    }
    for (const [provider, [kind, reason]] of Object.entries(health)) {
      if (this.#health.get(provider)?.kind !== kind || begins)
        this.#health.set(provider, { kind, reason, since: begins ? at : null });
    }
    this.#holds.clear();
    for (const [provider, reasons] of Object.entries(holds)) this.#holds.set(provider, new Set(reasons));
  }

  /** Empty while the policy of that time is unknown. */
  #candidates(stream: string, chosen: string | null): PastCandidate[] {
    if (!this.#setup) return [];
    const [setup, health, holds, inputs] = [this.#setup, this.#health, this.#holds, this.#inputs];
    return candidatesThen(stream, chosen, { setup, health, holds, inputs });
  }

  /** A line may occur twice. */
  #switched(entry: RoutingSwitch): void {
    const isKnown = this.#switches.some(
      ({ at, stream, to }) => at === entry.at && stream === entry.stream && to === entry.to,
    );
    if (!isKnown) this.#switches.push(entry);
  }

  #hold(provider: string, reason: HoldReason, on: boolean): void {
    const holds = this.#holds.get(provider) ?? new Set<HoldReason>();
    this.#holds.set(provider, holds);
    if (on) holds.add(reason);
    else holds.delete(reason);
  }
}

function triesOf(at: number, { d, a, l, f = {} }: LineOf<'tries'>): PastTries {
  const [p50Ms = null, p95Ms = null, p99Ms = null] = l ?? [];
  return { from: isoTime(at), to: isoTime(at + d), accepted: a, failed: f, p50Ms, p95Ms, p99Ms };
}
