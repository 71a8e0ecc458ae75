/** The findings of a crash run, for a person and as one JSON line. */
import type { Finding } from './checker.ts';

/** When an agent was killed, in milliseconds after its spawn or after its first acknowledgement. */
export interface KillInstant {
  after: 'spawn' | 'acknowledgement';
  delayMs: number;
}

export interface CrashReport {
  cycles: number;
  acked: number;
  lost: number;
  duplicated_ids: number;
  qos2_doubled: number;
  startup_p50_ms: number;
  startup_max_ms: number;
  seed: number;
}

/** Adds up folder after folder, and says how far it is. */
export class Tally {
  readonly #seed: number;
  readonly #startupsMs: number[] = [];
  #cyclesSaid: string[] = [];
  #cycles = 0;
  #past: Finding = { acked: 0, lost: 0, duplicatedIds: 0, qos2Doubled: 0, records: 0 };
  #current: Finding = this.#past;

  constructor(seed: number) {
    this.#seed = seed;
  }

  killed(instant: KillInstant, startupMs: number | null): void {
    this.#cycles += 1;
    this.#cyclesSaid.push(cycleText(instant, startupMs));
    if (startupMs !== null) this.#startupsMs.push(startupMs);
  }

  /** The findings in the present folder so far. */
  found(finding: Finding): void {
    this.#current = {
      acked: this.#past.acked + finding.acked,
      lost: this.#past.lost + finding.lost,
      duplicatedIds: this.#past.duplicatedIds + finding.duplicatedIds,
      qos2Doubled: this.#past.qos2Doubled + finding.qos2Doubled,
      records: this.#past.records + finding.records,
    };
  }

  folderDone(): void {
    this.#past = this.#current;
  }

  get failed(): boolean {
    const { lost, duplicatedIds, qos2Doubled } = this.#current;
    return lost > 0 || duplicatedIds > 0 || qos2Doubled > 0;
  }

  /**
   * One line, with the cycles since the last one: `512+40` was ready after 512 ms and killed 40 ms after its
   * first acknowledgement, `s40` killed 40 ms after its start.
   */
  progress(): string {
    const { acked, lost, duplicatedIds, qos2Doubled } = this.#current;
    const cycles = this.#cyclesSaid.join(' ');
    this.#cyclesSaid = [];
    return (
      `${this.#cycles} kills: ${acked} acknowledged, ${lost} lost, ${duplicatedIds} ids twice, ` +
      `${qos2Doubled} QoS 2 doubled; ready and killed after ${cycles} ms`
    );
  }

  report(): CrashReport {
    const { acked, lost, duplicatedIds, qos2Doubled } = this.#current;
    const sorted = this.#startupsMs.toSorted((a, b) => a - b);
    return {
      cycles: this.#cycles,
      acked,
      lost,
      duplicated_ids: duplicatedIds,
      qos2_doubled: qos2Doubled,
      startup_p50_ms: Math.round(sorted[Math.floor(sorted.length / 2)] ?? 0),
      startup_max_ms: Math.round(sorted.at(-1) ?? 0),
      seed: this.#seed,
    };
  }
}

function cycleText({ after, delayMs }: KillInstant, startupMs: number | null): string {
  return after === 'spawn' || startupMs === null ? `s${delayMs}` : `${Math.round(startupMs)}+${delayMs}`;
}
