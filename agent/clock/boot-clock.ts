/**
 * The gateway's knowledge of time (I7). A Pi has no battery-backed clock and boots in 1970, so records carry
 * monotonic time and the boot id. This module adds the mapping of monotonic time to the wall clock, and
 * whether the wall clock is trusted.
 */
import { readFileSync } from 'node:fs';
import type { Clock, Timer } from '../../shared/clock.ts';
import type { Entropy } from '../../shared/entropy.ts';
import type { EnvelopeClock } from '../../shared/envelope/envelope.ts';
import type { Logger } from '../../shared/log.ts';
import type { Service } from '../../shared/service.ts';

/** A new random value at each boot of the machine; proc(5). */
const BOOT_ID_FILE = '/proc/sys/kernel/random/boot_id';
const READ_EVERY_MS = 10_000;
/** A wall clock that moved by more than this against monotonic time was set, not slewed. */
const JUMP_MS = 2000;
/**
 * 2025-01-01. This program is younger: an earlier wall clock is wrong, even if it is reported as
 * synchronised.
 */
const EARLIEST_WALL_MS = 1_735_689_600_000;

/**
 * Id of the boot that monotonic time counts from. Without a readable kernel boot id, a random id of this
 * process: the ages of records from before the start are then unknown, and records are taken.
 */
export function readBootId(entropy: Entropy, file = BOOT_ID_FILE): string {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch {
    return Buffer.from(entropy.bytes(16)).toString('hex');
  }
}

export interface BootClockOptions {
  bootId: string;
  clock: Clock;
  log: Logger;
  /** Whether a time service keeps the wall clock right. */
  isSynchronised: () => boolean;
}

/** `lastMs`: size of the last jump, in milliseconds; 0 before the first. */
export interface ClockJumps {
  count: number;
  lastMs: number;
}

export class BootClock implements Service {
  readonly #bootId: string;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #isSynchronised: () => boolean;
  readonly #listeners: Array<(clock: EnvelopeClock) => void> = [];
  #current: EnvelopeClock;
  #jumps: ClockJumps = { count: 0, lastMs: 0 };
  #timer: Timer | null = null;

  constructor(options: BootClockOptions) {
    this.#bootId = options.bootId;
    this.#clock = options.clock;
    this.#log = options.log;
    this.#isSynchronised = options.isSynchronised;
    this.#current = this.#read();
  }

  /** The mapping as last read, at most ten seconds ago. */
  current(): EnvelopeClock {
    return this.#current;
  }

  get isSynchronised(): boolean {
    return this.#current.quality === 'synchronised';
  }

  /** The present moment with everything known about it. */
  moment(): { bootId: string; monoMs: number; wallMs: number; synchronised: boolean } {
    const [monoMs, wallMs] = [this.#clock.monoMs(), this.#clock.wallMs()];
    return { bootId: this.#bootId, monoMs, wallMs, synchronised: this.isSynchronised };
  }

  /** Wall-clock milliseconds; null while the clock is not synchronised. */
  trustedWallMs(): number | null {
    return this.isSynchronised ? this.#clock.wallMs() : null;
  }

  /** Jumps of the wall clock since start, while it was synchronised. */
  jumps(): ClockJumps {
    return this.#jumps;
  }

  /** `listener` is called after each reading, every ten seconds. */
  onRead(listener: (clock: EnvelopeClock) => void): void {
    this.#listeners.push(listener);
  }

  async start(): Promise<void> {
    this.#refresh();
    this.#timer ??= this.#clock.every(READ_EVERY_MS, () => this.#refresh());
  }

  async stop(): Promise<void> {
    this.#timer?.cancel();
    this.#timer = null;
  }

  #refresh(): void {
    const before = this.#current;
    const now = this.#read();
    this.#current = now;
    this.#judge(now.offsetMs - before.offsetMs, before.quality);
    if (now.quality !== before.quality) this.#log.info({ event: 'clock.quality', quality: now.quality });
    for (const listener of this.#listeners) listener(now);
  }

  /**
   * A jump of an unsynchronised clock is its correction. A jump of a synchronised clock is counted and
   * logged.
   */
  #judge(movedMs: number, quality: EnvelopeClock['quality']): void {
    if (Math.abs(movedMs) <= JUMP_MS) return;
    if (quality === 'unsynchronised') {
      this.#log.info({ event: 'clock.corrected', movedMs });
      return;
    }
    this.#jumps = { count: this.#jumps.count + 1, lastMs: movedMs };
    this.#log.warn({ event: 'clock.jump', jumpMs: movedMs });
  }

  #read(): EnvelopeClock {
    const wallMs = this.#clock.wallMs();
    const isRight = this.#isSynchronised() && wallMs >= EARLIEST_WALL_MS;
    return {
      bootId: this.#bootId,
      offsetMs: Math.round(wallMs - this.#clock.monoMs()),
      quality: isRight ? 'synchronised' : 'unsynchronised',
    };
  }
}
