/** What a crash run found, for a person and as one JSON line. */
import type { Finding } from './checker.ts';

/** When an agent was killed, in milliseconds after its spawn or after it was ready. */
export interface KillInstant {
  after: 'spawn' | 'ready';
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
  #kills: KillInstant[] = [];
  #cycles = 0;
  #past: Finding = { acked: 0, lost: 0, duplicatedIds: 0, qos2Doubled: 0, records: 0 };
  #current: Finding = this.#past;

  constructor(seed: number) {
    this.#seed = seed;
  }

  killed(instant: KillInstant, startupMs: number | null): void {
    this.#cycles += 1;
    this.#kills.push(instant);
    if (startupMs !== null) this.#startupsMs.push(startupMs);
  }

  /** What was found in the present folder so far. */
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

  /** One line, with the kills since the last one: `+` is after ready, `s` after spawn. */
  progress(): string {
    const { acked, lost, duplicatedIds, qos2Doubled } = this.#current;
    const kills = this.#kills.map(({ after, delayMs }) => `${after === 'spawn' ? 's' : '+'}${delayMs}`);
    this.#kills = [];
    return (
      `${this.#cycles} kills: ${acked} acknowledged, ${lost} lost, ${duplicatedIds} ids twice, ` +
      `${qos2Doubled} QoS 2 doubled; killed at ${kills.join(' ')} ms`
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
