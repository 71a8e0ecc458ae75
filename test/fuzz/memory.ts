/** Resident memory of a process against how many packets it was sent. */
import { readFileSync } from 'node:fs';

const WARM_UP_SHARE = 0.3;

interface Sample {
  packets: number;
  /** VmRSS of proc_pid_status(5), in 10^6 bytes. */
  rssMb: number;
}

export class Memory {
  readonly #samples: Sample[] = [];

  sample(pid: number | undefined, packets: number): void {
    const found = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
    if (found) this.#samples.push({ packets, rssMb: (Number(found[1]) * 1024) / 1e6 });
  }

  /** Of the second half of what came after the warm-up over the first, by packets: medians. */
  growthMb(): number {
    const packets = this.#samples.at(-1)?.packets ?? 0;
    const warm = this.#samples.filter((sample) => sample.packets >= packets * WARM_UP_SHARE);
    const half = (packets * (1 + WARM_UP_SHARE)) / 2;
    const second = warm.filter((sample) => sample.packets >= half);
    return middle(second) - middle(warm.slice(0, -second.length));
  }

  /** Of the line with the least squares through what came after the warm-up. */
  slopeMbPer100kPackets(): number {
    const samples = this.#samples.slice(Math.floor(this.#samples.length * WARM_UP_SHARE));
    const mean = (of: (sample: Sample) => number): number =>
      samples.reduce((sum, sample) => sum + of(sample), 0) / samples.length;
    const packets = mean((sample) => sample.packets);
    const mb = mean(({ rssMb }) => rssMb);
    const covariance = mean((sample) => (sample.packets - packets) * (sample.rssMb - mb));
    return (covariance / mean((sample) => (sample.packets - packets) ** 2)) * 100_000;
  }

  get maxMb(): number {
    return Math.max(...this.#samples.map(({ rssMb }) => rssMb));
  }
}

function middle(samples: readonly Sample[]): number {
  const sorted = samples.map(({ rssMb }) => rssMb).sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}
