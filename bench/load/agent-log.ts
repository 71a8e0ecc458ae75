/**
 * What a bench reads off the log of an agent with `forward` at `debug`: when each record was accepted, by
 * whom, and each switch.
 */

/** `log` in agent.yaml, for all of this to be there. */
export const LOG_FOR_BENCH = { level: 'info', levels: { forward: 'debug' } };

interface Line {
  time: string;
  event: string;
  provider?: string;
  stream?: string;
  first?: string;
  last?: string;
  from?: string | null;
  to?: string | null;
}

export interface Acceptance {
  atMs: number;
  provider: string;
  first: number;
  last: number;
}

export type Health = 'healthy' | 'degraded' | 'open' | 'probing';

export interface Switch {
  atMs: number;
  from: string | null;
  to: string | null;
}

const EVENTS = ['publish.accepted', 'publish.failed', 'routing.switch', 'routing.health'];

/**
 * Times are wall-clock milliseconds, as the log has them: comparable with `Date.now()` of any process of the
 * machine.
 */
export class AgentLog {
  readonly acceptances: Acceptance[] = [];
  readonly switches: Switch[] = [];
  /** Tries that were not accepted, as far as the log tells each. */
  readonly failuresMs: number[] = [];
  /** Of those whose health ever changed. */
  readonly #health = new Map<string, Health>();
  /** By seq: when a provider first accepted it. */
  readonly #acceptedMs = new Map<number, number>();
  /**
   * Lower ones are not remembered one by one: a million of them would take the memory and the time of the
   * bench.
   */
  watchedFrom = 1;

  read(text: string): void {
    if (!EVENTS.some((event) => text.includes(`"${event}"`))) return;
    const line: Line = JSON.parse(text);
    const atMs = Date.parse(line.time);
    if (line.event === 'routing.switch') {
      this.switches.push({ atMs, from: line.from ?? null, to: line.to ?? null });
    }
    if (line.event === 'routing.health') this.#health.set(line.provider ?? '', line.to as Health);
    // Probes have no seqs.
    if (line.first === undefined || line.last === undefined) return;
    if (line.event === 'publish.failed') this.failuresMs.push(atMs);
    if (line.event !== 'publish.accepted') return;
    const [first, last] = [Number(line.first), Number(line.last)];
    this.acceptances.push({ atMs, provider: line.provider ?? '', first, last });
    for (let seq = Math.max(first, this.watchedFrom); seq <= last; seq++) {
      if (!this.#acceptedMs.has(seq)) this.#acceptedMs.set(seq, atMs);
    }
  }

  /** Null while no provider has it. */
  acceptedMs(seq: number): number | null {
    return this.#acceptedMs.get(seq) ?? null;
  }

  health(provider: string): Health {
    return this.#health.get(provider) ?? 'healthy';
  }
}
