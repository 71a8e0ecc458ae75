/** The store's epochs with their clocks; the present epoch's clock may still change. */
import type { EnvelopeClock } from '../../shared/envelope/envelope.ts';
import { epochsToCorrect } from './epoch-clocks.ts';
import type { Opened } from './protocol.ts';
import type { EpochInfo } from './types.ts';

export class Epochs {
  readonly #clocks = new Map<string, EnvelopeClock>();
  #present = '';
  #clock: EnvelopeClock;

  constructor(clock: EnvelopeClock) {
    this.#clock = clock;
  }

  /** `''` before the first opening. */
  get present(): string {
    return this.#present;
  }

  get clock(): EnvelopeClock {
    return this.#clock;
  }

  all(): EpochInfo[] {
    return [...this.#clocks].map(([epoch, clock]) => ({ epoch, clock, current: epoch === this.#present }));
  }

  opened({ epoch, olderEpochs }: Opened): void {
    this.#present = epoch;
    this.#clocks.clear();
    for (const { epoch: older, clock } of olderEpochs) this.#clocks.set(older, clock);
    this.#clocks.set(epoch, this.#clock);
  }

  ended(epochs: readonly string[]): void {
    for (const epoch of epochs) this.#clocks.delete(epoch);
  }

  /** Returns the epochs whose mapping changes with it. */
  setClock(clock: EnvelopeClock): string[] {
    this.#clock = clock;
    const changed = epochsToCorrect(this.#clocks, this.#present, clock);
    for (const epoch of changed) this.#clocks.set(epoch, clock);
    return changed;
  }
}
