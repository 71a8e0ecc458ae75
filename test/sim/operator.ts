/**
 * The operator's holds at one gateway as the world knows them: which must be in force now, whatever the agent
 * makes of them. Nothing at all leaves for a provider while one of its holds is; the others it has count for
 * nothing, and it ends with the last of them.
 *
 * A hold is lost with the agent when it was not told to be on the disk. One that was released may be back
 * after a crash: nobody is told of the release before it is written.
 */
import type { HoldFile } from '../../agent/holds/hold-file.ts';
import type { Holds } from '../../agent/holds/holds.ts';
import type { Disk } from './disk.ts';
import type { ProcessClock, VirtualTime } from './time.ts';

const WRITE_MS = 8;

interface HoldInForce {
  provider: string;
  /** World time; null until it is released. */
  untilMs: number | null;
  /** It survives a crash. */
  isKept: boolean;
}

export class Operator {
  readonly #time: VirtualTime;
  readonly #holds = new Map<string, HoldInForce>();

  constructor(time: VirtualTime) {
    this.#time = time;
  }

  /** Nothing may leave for it. */
  isHeld(provider: string): boolean {
    const { nowMs } = this.#time;
    return [...this.#holds.values()].some(
      (hold) => hold.provider === provider && (hold.untilMs === null || nowMs < hold.untilMs),
    );
  }

  hold(holds: Holds, provider: string, reason: string, forMs: number | null): void {
    const placed = holds.add(provider, reason, forMs);
    const untilMs = forMs === null ? null : this.#time.nowMs + forMs;
    const hold: HoldInForce = { provider, untilMs, isKept: false };
    this.#holds.set(`${provider} ${reason}`, hold);
    void placed.then((change) => {
      hold.isKept = change.ok && change.kept;
    });
  }

  /** `reason` null: all of the provider. */
  release(holds: Holds, provider: string, reason: string | null): void {
    for (const [key, hold] of this.#holds) {
      if (hold.provider === provider && (reason === null || key === `${provider} ${reason}`))
        this.#holds.delete(key);
    }
    void holds.remove(provider, reason);
  }

  releaseAll(holds: Holds | undefined): void {
    this.#holds.clear();
    const providers = new Set(holds?.list().map(({ provider }) => provider));
    for (const provider of providers) if (holds) this.release(holds, provider, null);
  }

  /** The agent is gone. */
  crashed(): void {
    for (const [key, { isKept }] of this.#holds) if (!isKept) this.#holds.delete(key);
  }
}

/** The file of the holds, on the gateway's disk: written whole or not at all. */
export function simHoldFile(disk: Disk, clock: ProcessClock, time: VirtualTime): HoldFile {
  return {
    read: async () => (disk.holds ? { state: 'ok', value: { holds: disk.holds } } : { state: 'missing' }),
    write: async (holds) => {
      await clock.sleep(Math.max(WRITE_MS, disk.stalledUntilMs - time.nowMs + WRITE_MS));
      if (time.nowMs < disk.failsUntilMs) throw new Error('the disk failed');
      disk.holds = holds;
    },
  };
}
