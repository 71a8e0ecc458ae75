/** The words of agent, router and clouds on a drill, asked again and again while it lasts. */
import type { Cloud } from '../../loopback/cloud.ts';
import type { ExplainedStream } from '../../shared/admin-api/explanation.ts';
import type { AgentStatus, RouterStatus } from '../../shared/admin-api/status.ts';
import { type Clock, type Timer, wallMsOf } from '../../shared/clock.ts';

const PERIOD_MS = 250;
/** The bin of the request counts. */
export const BIN_MS = 2000;

export interface Seen {
  /** Causes in `status` and in `explain`, by provider. */
  causes: Map<string, Set<string>>;
  explained: Map<string, Set<string>>;
  /** Errors of the router's sources. */
  errors: Map<string, Set<string>>;
  /** How often a provider in use became `open`. */
  opens: Map<string, number>;
  /** Switches away from a provider, but for returns to a preferred one. */
  left: Map<string, string[]>;
  /** Requests that reached a cloud, in bins of two seconds since the start. */
  requests: Map<string, number[]>;
  /** Highest count of rows, and the largest drop from one look to the next. */
  rowsMax: number;
  rowsDropMax: number;
}

export class Observer {
  readonly #agent: string;
  readonly #router: string;
  readonly #clouds: readonly Cloud[];
  readonly #clock: Clock;
  readonly #healths = new Map<string, string>();
  readonly seen: Seen = {
    causes: new Map(),
    explained: new Map(),
    errors: new Map(),
    opens: new Map(),
    left: new Map(),
    requests: new Map(),
    rowsMax: 0,
    rowsDropMax: 0,
  };
  readonly #requestsBefore = new Map<string, number>();
  #rows = 0;
  #startedMs = 0;
  #switchedToMs = 0;
  #timer: Timer | null = null;
  #look: Promise<void> = Promise.resolve();
  #isLooking: boolean = false;

  constructor(options: { agent: string; router: string; clouds: readonly Cloud[]; clock: Clock }) {
    this.#agent = options.agent;
    this.#router = options.router;
    this.#clouds = options.clouds;
    this.#clock = options.clock;
  }

  /** Earlier states are not observed. */
  start(): void {
    this.#startedMs = this.#clock.monoMs();
    this.#switchedToMs = this.#clock.wallMs();
    for (const cloud of this.#clouds) this.#requestsBefore.set(cloud.name, cloud.meter().requests);
    this.#timer = this.#clock.every(PERIOD_MS, () => {
      if (this.#isLooking) return;
      this.#isLooking = true;
      this.#look = this.#lookOnce().finally(() => {
        this.#isLooking = false;
      });
    });
  }

  async stop(): Promise<void> {
    this.#timer?.cancel();
    await this.#look;
  }

  status(): Promise<AgentStatus> {
    return getJson(`${this.#agent}/v1/status`);
  }

  router(): Promise<RouterStatus> {
    return getJson(`${this.#router}/v1/status`);
  }

  async #lookOnce(): Promise<void> {
    this.#countRequests();
    const [agent, router, { streams }] = await Promise.all([
      this.status(),
      this.router(),
      getJson<{ streams: ExplainedStream[] }>(`${this.#agent}/v1/explain`),
    ]);
    const { seen } = this;
    for (const { name, fault, health } of agent.providers) {
      if (fault) note(seen.causes, name, fault.cause);
      // A probe that fails is no new opening.
      const before = this.#healths.get(name);
      if (health === 'open' && (before === 'healthy' || before === 'degraded'))
        seen.opens.set(name, (seen.opens.get(name) ?? 0) + 1);
      this.#healths.set(name, health);
    }
    for (const { provider, fault } of streams.flatMap(({ candidates }) => candidates))
      if (fault !== null) note(seen.explained, provider, fault.split(':')[0] ?? '');
    for (const { name, lastError } of router.sources)
      if (lastError !== null) note(seen.errors, name, lastError);
    for (const { at, from, to, reason } of agent.switches) {
      // A return to the preferred provider is no flight.
      if (from === null || reason === 'preferred' || wallMsOf(at) <= this.#switchedToMs) continue;
      seen.left.set(from, [...(seen.left.get(from) ?? []), `${to ?? 'nothing'} (${reason})`]);
    }
    this.#switchedToMs = Math.max(this.#switchedToMs, ...agent.switches.map(({ at }) => wallMsOf(at)));
    seen.rowsMax = Math.max(seen.rowsMax, agent.buffer.rows);
    seen.rowsDropMax = Math.max(seen.rowsDropMax, this.#rows - agent.buffer.rows);
    this.#rows = agent.buffer.rows;
  }

  #countRequests(): void {
    const bin = Math.floor((this.#clock.monoMs() - this.#startedMs) / BIN_MS);
    for (const cloud of this.#clouds) {
      const { requests } = cloud.meter();
      const bins = this.seen.requests.get(cloud.name) ?? [];
      while (bins.length <= bin) bins.push(0);
      bins[bin] = (bins[bin] ?? 0) + requests - (this.#requestsBefore.get(cloud.name) ?? 0);
      this.#requestsBefore.set(cloud.name, requests);
      this.seen.requests.set(cloud.name, bins);
    }
  }
}

export async function getJson<Answer>(url: string): Promise<Answer> {
  const response = await fetch(url, { signal: AbortSignal.timeout(15_000) });
  if (!response.ok) throw new Error(`${url}: ${response.status} ${await response.text()}`);
  return (await response.json()) as Answer;
}

function note(seen: Map<string, Set<string>>, name: string, value: string): void {
  const values = seen.get(name) ?? new Set();
  seen.set(name, values.add(value));
}
