/**
 * Streams that are set aside because a lock in the ledger blocks them: their envelopes are left for
 * redelivery, so that no commit of other streams waits for the lock. From time to time one envelope of a
 * blocked stream is committed by itself, as a probe, beside the other commits.
 */
import type { Clock } from '../../shared/clock.ts';
import type { StreamKey } from '../../shared/record.ts';

const PROBE_EACH_MS = 2000;
/** Most concurrent probes: each holds a connection of the ledger while it waits for the lock. */
const PROBES_MAX = 2;
/**
 * Most streams remembered; beyond, the stream set aside first is forgotten, and found again by its next
 * commit (I10).
 */
const STREAMS_MAX = 10_000;

export class SetAsideStreams {
  readonly #clock: Clock;
  /** When each stream may be probed next, in the order in which they were set aside. */
  readonly #nextMs = new Map<string, number>();
  #probes = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** How to treat an envelope of the stream; each `probe` ends with {@link probed}. */
  admit(key: StreamKey): 'commit' | 'probe' | 'leave' {
    // Usually no stream is set aside.
    if (this.#nextMs.size === 0) return 'commit';
    const name = nameOf(key);
    const nextMs = this.#nextMs.get(name);
    if (nextMs === undefined) return 'commit';
    if (this.#clock.monoMs() < nextMs || this.#probes >= PROBES_MAX) return 'leave';
    this.#probes += 1;
    this.#nextMs.set(name, Number.POSITIVE_INFINITY);
    return 'probe';
  }

  /** Records that a commit found the stream locked. */
  blocked(key: StreamKey): void {
    this.#nextMs.set(nameOf(key), this.#clock.monoMs() + PROBE_EACH_MS);
    for (const oldest of this.#nextMs.keys()) {
      if (this.#nextMs.size <= STREAMS_MAX) break;
      this.#nextMs.delete(oldest);
    }
  }

  /** Ends a probe; unless it found the stream {@link blocked} again, the stream is free. */
  probed(key: StreamKey): void {
    this.#probes -= 1;
    if (this.#nextMs.get(nameOf(key)) === Number.POSITIVE_INFINITY) this.#nextMs.delete(nameOf(key));
  }
}

function nameOf({ gateway, epoch, stream }: StreamKey): string {
  return JSON.stringify([gateway, epoch, stream]);
}
