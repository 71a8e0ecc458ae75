/**
 * Hostile connections, many at once, against a real agent, while a good pair of clients publishes and
 * receives. The run ends at the first thing that should not be: the agent ends, says something beside its log
 * or at level error, or the good pair notices.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fiveFreePorts } from '../../demo/http.ts';
import type { Clock } from '../../shared/clock.ts';
import { systemEntropy } from '../../shared/entropy.ts';
import { AgentProcess } from '../crash/agent-process.ts';
import { writeAgentConfig } from './agent.ts';
import { attack } from './attack.ts';
import { GoodPair } from './good-pair.ts';
import { Memory } from './memory.ts';
import { scriptOf } from './script.ts';
import type { Transport, TransportName } from './transport.ts';

const CONNECTIONS_AT_ONCE = 24;
const SAMPLE_EVERY_MS = 250;
const PROGRESS_EVERY_MS = 10_000;
/** The effect of a connection may appear a moment later. */
const SETTLE_MS = 2500;
/** Packets remembered for the report of a failure. */
const RECENT_MAX = 60;

export interface FuzzOptions {
  seed: number;
  packets: number;
  /** Number of the first connection. */
  first: number;
  transport: TransportName;
}

export interface SentPacket {
  connection: number;
  index: number;
  bytes: Uint8Array;
}

export interface FuzzResult {
  packets: number;
  connections: number;
  crashes: number;
  goodAcked: number;
  goodLost: number;
  goodAckMsMax: number;
  memory: Memory;
  problems: string[];
  /** The last packets before the first problem, the latest at the end; empty without one. */
  suspects: SentPacket[];
  /** The agent's folder, kept when there was a problem. */
  dir: string;
}

export async function fuzz(
  options: FuzzOptions,
  clock: Clock,
  say: (line: string) => void,
): Promise<FuzzResult> {
  const dir = mkdtempSync(join(tmpdir(), 'headgate-fuzz-'));
  const [broker, admin, nobody] = await fiveFreePorts(systemEntropy);
  const transport = await writeAgentConfig(dir, { broker, admin, nobody }, options.transport);
  const run = new Run(options, clock, { dir, transport });
  try {
    return await run.toItsEnd(say);
  } finally {
    await run.stop();
    if (run.problems.length === 0) rmSync(dir, { recursive: true });
  }
}

class Run {
  readonly problems: string[] = [];
  readonly #options: FuzzOptions;
  readonly #clock: Clock;
  readonly #place: { dir: string; transport: Transport };
  readonly #agent: AgentProcess;
  readonly #memory = new Memory();
  readonly #recent: SentPacket[] = [];
  /** Aborted by the first problem. */
  readonly #failed = new AbortController();
  #suspects: SentPacket[] = [];
  #pair: GoodPair | null = null;
  #packets = 0;
  #connections = 0;
  #crashes = 0;
  #stopping: boolean = false;

  constructor(options: FuzzOptions, clock: Clock, place: { dir: string; transport: Transport }) {
    this.#options = options;
    this.#clock = clock;
    this.#place = place;
    this.#agent = new AgentProcess(place, clock, { onLine: (line) => this.#checkLog(line) });
    this.#agent.untilEnded().then((how) => {
      if (this.#stopping) return;
      this.#crashes += 1;
      this.#problem(`the agent ended: ${how}`);
    }, this.#rejected);
  }

  async toItsEnd(say: (line: string) => void): Promise<FuzzResult> {
    await this.#agent.untilReady();
    const { transport } = this.#place;
    this.#pair = await GoodPair.open(transport, this.#clock, (problem) => this.#problem(problem));
    const over = new AbortController();
    const pairOver = this.#pair.run(AbortSignal.any([over.signal, this.#failed.signal]));
    const observed = this.#observe(over.signal, say);
    await Promise.all(Array.from({ length: CONNECTIONS_AT_ONCE }, () => this.#attackInTurn()));
    await this.#clock.sleep(SETTLE_MS, this.#failed.signal);
    over.abort();
    await Promise.all([pairOver, observed]);
    return {
      packets: this.#packets,
      connections: this.#connections,
      crashes: this.#crashes,
      goodAcked: this.#pair.acked,
      goodLost: this.#pair.lost,
      goodAckMsMax: Math.round(this.#pair.ackMsMax),
      memory: this.#memory,
      problems: this.problems,
      suspects: this.#suspects,
      dir: this.#place.dir,
    };
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    await this.#pair?.close();
    if (this.#crashes === 0) await this.#agent.kill();
  }

  readonly #rejected = (error: unknown): void => this.#problem(String(error));

  async #attackInTurn(): Promise<void> {
    const { seed, packets, first } = this.#options;
    while (this.#packets < packets && !this.#failed.signal.aborted) {
      const connection = first + this.#connections++;
      const script = scriptOf(seed, connection);
      const onPacket = (index: number): void => {
        this.#packets += 1;
        this.#recent.push({ connection, index, bytes: script.packets[index] ?? new Uint8Array() });
        if (this.#recent.length > RECENT_MAX) this.#recent.shift();
      };
      const line = await this.#place.transport.open(connection);
      await attack({ clock: this.#clock, onPacket }, line, script);
    }
  }

  async #observe(over: AbortSignal, say: (line: string) => void): Promise<void> {
    let saidMs = this.#clock.monoMs();
    while (!over.aborted && !this.#failed.signal.aborted) {
      this.#memory.sample(this.#agent.pid, this.#packets);
      if (this.#clock.monoMs() - saidMs > PROGRESS_EVERY_MS) {
        saidMs = this.#clock.monoMs();
        say(`${this.#packets} packets on ${this.#connections} connections, ${this.#pair?.acked} good ones`);
      }
      await this.#clock.sleep(SAMPLE_EVERY_MS, over);
    }
  }

  /** Anything but a line of the log below level error is a problem: a stack trace, a warning of Node.js. */
  #checkLog(line: string): void {
    const level = /^\{"level":"(\w+)"/.exec(line)?.[1];
    if (level === undefined || level === 'error' || level === 'fatal')
      this.#problem(`the agent said: ${line.trim()}`);
  }

  #problem(problem: string): void {
    // Later problems are mostly consequences of the first.
    if (this.problems.length === 0) this.#suspects = [...this.#recent];
    if (!this.#stopping) this.problems.push(problem);
    this.#failed.abort();
  }
}
