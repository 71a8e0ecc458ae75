/**
 * Whether a time service keeps the wall clock right. A clock that was synchronised once in this boot counts
 * as synchronised until the next boot: a gateway that is offline for a day drifts by seconds, while the
 * kernel clears its flag after nine hours without an update (its error bound grows by 500 µs per second, and
 * the flag ends at 16 s).
 */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import type { Clock } from '../../shared/clock.ts';

export type SyncMode = 'auto' | 'assume' | 'never';

/**
 * Exists once systemd-timesyncd has synchronised the clock in this boot; systemd-timesyncd.service(8),
 * section "Files".
 */
const TIMESYNCD_FILE = '/run/systemd/timesync/synchronized';
/**
 * For chrony, ntpd and others. `NTPSynchronized` is the kernel's flag, independent of the time service:
 * systemd's timedated reads it with adjtimex(2), as its error bound being below 16 s (systemd,
 * src/timedate/timedated.c, `ntp_synced`).
 */
const ASK = ['timedatectl', 'show', '--property=NTPSynchronized', '--value'] as const;
const ASK_TIMEOUT_MS = 5000;
/** Pause between two queries, until the answer is yes. It doubles where the query fails. */
const ASK_EVERY_MS = 60_000;
const ASK_EVERY_MAX_MS = 3_600_000;

export interface ClockSyncOptions {
  mode: SyncMode;
  clock: Clock;
  /** Default: the file of systemd-timesyncd. */
  file?: string;
  /** Program and arguments; the output `yes` means synchronised. Default: timedatectl. */
  ask?: readonly [string, ...string[]];
}

export class ClockSync {
  readonly #clock: Clock;
  readonly #file: string;
  readonly #ask: readonly [string, ...string[]];
  readonly #mode: SyncMode;
  #wasSynchronised: boolean = false;
  #asking: boolean = false;
  #nextAskMs = Number.NEGATIVE_INFINITY;
  #askEveryMs = ASK_EVERY_MS;

  constructor({ mode, clock, file = TIMESYNCD_FILE, ask = ASK }: ClockSyncOptions) {
    this.#mode = mode;
    this.#clock = clock;
    this.#file = file;
    this.#ask = ask;
  }

  /** The last known state. While it is false, starts a query whose answer a later call returns. */
  isSynchronised(): boolean {
    if (this.#mode !== 'auto') return this.#mode === 'assume';
    this.#wasSynchronised ||= existsSync(this.#file);
    if (!this.#wasSynchronised) this.#askAgain();
    return this.#wasSynchronised;
  }

  #askAgain(): void {
    const nowMs = this.#clock.monoMs();
    if (this.#asking || nowMs < this.#nextAskMs) return;
    this.#asking = true;
    const [program, ...rest] = this.#ask;
    execFile(program, rest, { timeout: ASK_TIMEOUT_MS }, (error, stdout) => {
      this.#asking = false;
      this.#wasSynchronised ||= error === null && stdout.trim() === 'yes';
      this.#nextAskMs = this.#clock.monoMs() + this.#askEveryMs;
      // Without systemd the query would start a process every minute for ever.
      if (error) this.#askEveryMs = Math.min(2 * this.#askEveryMs, ASK_EVERY_MAX_MS);
    });
  }
}
