/**
 * The room that one envelope has reserved at its providers. The first reservations are made before the
 * envelope is read, because reading takes time and the bound on envelopes under way must hold meanwhile
 * (I10). Those of other providers are made when they are asked.
 */
import type { Lane } from '../queue/lanes.ts';
import type { Reservation, Sender } from './sender.ts';

export class Reservations {
  readonly #senders: ReadonlyMap<string, Sender>;
  readonly #lane: Lane;
  readonly bytes: number;
  /** The envelope's turn in its stream: decides which provider comes first when several share the stream. */
  readonly turn: number;
  readonly #isSuspect: boolean;
  readonly #held = new Map<string, Reservation>();

  /** `bytes`: upper bound of the envelope's size. `isSuspect`: see {@link Sender.enter}. */
  constructor(
    senders: ReadonlyMap<string, Sender>,
    { lane, bytes, turn, isSuspect }: { lane: Lane; bytes: number; turn: number; isSuspect: boolean },
  ) {
    this.#senders = senders;
    this.#lane = lane;
    this.bytes = bytes;
    this.turn = turn;
    this.#isSuspect = isSuspect;
  }

  /** Reserves at all of the providers, or at none. */
  reserveAll(providers: readonly string[]): boolean {
    if (providers.every((provider) => this.reserve(provider))) return true;
    this.release();
    return false;
  }

  /** False when the provider has no room now. */
  reserve(provider: string): boolean {
    if (this.#held.has(provider)) return true;
    const reservation = this.#senders.get(provider)?.enter(this.#lane, this.bytes, this.#isSuspect);
    if (!reservation) return false;
    this.#held.set(provider, reservation);
    return true;
  }

  /** Takes the reservation at the provider for a try, which ends it. */
  use(provider: string): Reservation {
    const reservation = this.#held.get(provider);
    if (!reservation) throw new Error(`nothing is reserved at ${provider}`);
    this.#held.delete(provider);
    return reservation;
  }

  /** Gives back the unused reservations. */
  release(): void {
    for (const [provider, reservation] of this.#held) this.#senders.get(provider)?.leave(reservation);
    this.#held.clear();
  }
}
