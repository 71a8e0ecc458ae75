/**
 * The places of one envelope at the providers that it goes to. The first are taken before the envelope is
 * read, because reading takes a while and the bound on what is under way must hold meanwhile (I10); those of
 * other providers when they are asked.
 */
import type { Lane } from '../queue/lanes.ts';
import type { Place, Sender } from './sender.ts';

export class Places {
  readonly #senders: ReadonlyMap<string, Sender>;
  readonly #lane: Lane;
  readonly bytes: number;
  /** The envelope's turn in its stream: who of those that share it is asked first. */
  readonly turn: number;
  readonly #held = new Map<string, Place>();

  /** `bytes`: what the envelope will have, at most. */
  constructor(senders: ReadonlyMap<string, Sender>, lane: Lane, bytes: number, turn: number) {
    this.#senders = senders;
    this.#lane = lane;
    this.bytes = bytes;
    this.turn = turn;
  }

  /** One at each of them, or none at all. */
  holdAll(providers: readonly string[]): boolean {
    if (providers.every((provider) => this.hold(provider))) return true;
    this.giveBack();
    return false;
  }

  /** Whether there is a place at the provider, which is held from now on. */
  hold(provider: string): boolean {
    if (this.#held.has(provider)) return true;
    const place = this.#senders.get(provider)?.enter(this.#lane, this.bytes);
    if (!place) return false;
    this.#held.set(provider, place);
    return true;
  }

  /** The place that is held there, for a try that ends it. */
  use(provider: string): Place {
    const place = this.#held.get(provider);
    if (!place) throw new Error(`no place is held at ${provider}`);
    this.#held.delete(provider);
    return place;
  }

  /** Those that nobody used. */
  giveBack(): void {
    for (const [provider, place] of this.#held) this.#senders.get(provider)?.leave(place);
    this.#held.clear();
  }
}
