/**
 * What the gateway knows about time (I7). A Pi has no battery clock and boots in 1970, so records carry monotonic time
 * and the id of the boot it counts from; this adds how that time maps to the wall clock, and whether to believe it.
 */
import { existsSync, readFileSync } from 'node:fs';
import type { Clock, Timer } from '../shared/clock.ts';
import type { Entropy } from '../shared/entropy.ts';
import type { EnvelopeClock } from '../shared/envelope/envelope.ts';
import type { Logger } from '../shared/log.ts';
import type { Service } from '../shared/service.ts';

/** A new random value at each boot of the machine; proc(5). */
const BOOT_ID_FILE = '/proc/sys/kernel/random/boot_id';
/** Exists once the clock was synchronised in this boot; systemd-timesyncd.service(8), section "Files". */
const SYNCHRONISED_FILE = '/run/systemd/timesync/synchronized';
const READ_EVERY_MS = 10_000;
/** A wall clock that moved further than this against monotonic time was set, not steered. */
const JUMP_MS = 2000;

/** Id of the boot that monotonic time counts from. Where the kernel tells none, one that no other process shares. */
export function readBootId(entropy: Entropy): string {
  if (existsSync(BOOT_ID_FILE)) return readFileSync(BOOT_ID_FILE, 'utf8').trim();
  return Buffer.from(entropy.bytes(16)).toString('hex');
}

export interface BootClockOptions {
  bootId: string;
  clock: Clock;
  log: Logger;
  /** Whether the wall clock is synchronised; systemd-timesyncd's word when absent. */
  isSynchronised?: () => boolean;
}

export class BootClock implements Service {
  readonly #bootId: string;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #isSynchronised: () => boolean;
  readonly #listeners: Array<(clock: EnvelopeClock) => void> = [];
  #current: EnvelopeClock;
  #timer: Timer | null = null;

  constructor(options: BootClockOptions) {
    this.#bootId = options.bootId;
    this.#clock = options.clock;
    this.#log = options.log;
    this.#isSynchronised = options.isSynchronised ?? (() => existsSync(SYNCHRONISED_FILE));
    this.#current = this.#read();
  }

  /** The mapping as last read, at most ten seconds ago. */
  current(): EnvelopeClock {
    return this.#current;
  }

  /** Called after each reading, every ten seconds. */
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
    const jumpMs = now.offsetMs - before.offsetMs;
    if (Math.abs(jumpMs) > JUMP_MS) {
      this.#log.warn({ event: 'clock.jump', jumpMs: Math.round(jumpMs), quality: now.quality });
    }
    if (now.quality !== before.quality) this.#log.info({ event: 'clock.quality', quality: now.quality });
    for (const listener of this.#listeners) listener(now);
  }

  #read(): EnvelopeClock {
    return {
      bootId: this.#bootId,
      offsetMs: Math.round(this.#clock.wallMs() - this.#clock.monoMs()),
      quality: this.#isSynchronised() ? 'synchronised' : 'unsynchronised',
    };
  }
}
