/**
 * Whether somebody keeps the wall clock right. Once it was synchronised in this boot it counts as such until
 * the next: a gateway that is offline for a day drifts by seconds, while the kernel's own flag gives up after
 * nine hours without news (its error bound grows by 500 µs in each second and the flag ends at 16 s).
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
 * For chrony, ntpd and others. `NTPSynchronized` is the kernel's word, whoever disciplines the clock:
 * systemd's timedated reads it with adjtimex(2), as its error bound being below 16 s (systemd,
 * src/timedate/timedated.c, `ntp_synced`).
 */
const ASK = ['timedatectl', 'show', '--property=NTPSynchronized', '--value'] as const;
const ASK_TIMEOUT_MS = 5000;
/** Between one question and the next, until the answer is yes. Where nobody can answer, it doubles. */
const ASK_EVERY_MS = 60_000;
const ASK_EVERY_MAX_MS = 3_600_000;

export interface ClockSyncOptions {
  mode: SyncMode;
  clock: Clock;
  /** systemd-timesyncd's when absent. */
  file?: string;
  /** Program and arguments whose answer `yes` means synchronised; timedatectl when absent. */
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

  /** As far as is known now. Asks on when it is not; a later call has the answer. */
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
      // No systemd here: it would be a process a minute for ever.
      if (error) this.#askEveryMs = Math.min(2 * this.#askEveryMs, ASK_EVERY_MAX_MS);
    });
  }
}
