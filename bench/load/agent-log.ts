/**
 * Reads from the log of an agent with `forward` at `debug`: when and by which provider each record was
 * accepted, and each switch.
 */

/** The `log` section of agent.yaml that a bench needs. */
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
 * Times are wall-clock milliseconds, as in the log: comparable with `Date.now()` of any process on the
 * machine.
 */
export class AgentLog {
  readonly acceptances: Acceptance[] = [];
  readonly switches: Switch[] = [];
  /** Failed tries, where the log has them. */
  readonly failuresMs: number[] = [];
  /** Providers whose health has changed at least once. */
  readonly #health = new Map<string, Health>();
  /** By seq: the first acceptance by a provider. */
  readonly #acceptedMs = new Map<number, number>();
  /** Lower seqs are not stored one by one: a million of them would distort the bench. */
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

  /** Null while no provider has accepted the record. */
  acceptedMs(seq: number): number | null {
    return this.#acceptedMs.get(seq) ?? null;
  }

  health(provider: string): Health {
    return this.#health.get(provider) ?? 'healthy';
  }
}
