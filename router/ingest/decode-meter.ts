/** The time that decoding takes, by gateway: which of them costs the router most. */

/** `loop`: the router's event loop. `thread`: a decode thread. */
export type DecodePlace = 'loop' | 'thread';

export interface DecodeCost {
  messages: number;
  bytes: number;
  ms: number;
}

/** Counts beyond {@link GATEWAYS_MAX} gateways, and those of messages that name none. */
const OTHER_GATEWAYS = '(others)';
/** Most gateways that are told apart (I10). */
const GATEWAYS_MAX = 10_000;

export class DecodeMeter {
  readonly #places: Record<DecodePlace, DecodeCost> = { loop: nothing(), thread: nothing() };
  readonly #gateways = new Map<string, DecodeCost>();

  /** `gateway`: null when neither the source nor the message names it. */
  count(place: DecodePlace, gateway: string | null, { ms, bytes }: { ms: number; bytes: number }): void {
    add(this.#places[place], ms, bytes);
    const isKnown = gateway !== null && (this.#gateways.has(gateway) || this.#gateways.size < GATEWAYS_MAX);
    const name = isKnown ? gateway : OTHER_GATEWAYS;
    const cost = this.#gateways.get(name) ?? nothing();
    this.#gateways.set(name, cost);
    add(cost, ms, bytes);
  }

  places(): ReadonlyArray<[DecodePlace, Readonly<DecodeCost>]> {
    return [
      ['loop', this.#places.loop],
      ['thread', this.#places.thread],
    ];
  }

  /** The gateways that took most time, at most `limit` of them. */
  heaviest(limit: number): Array<[gateway: string, cost: Readonly<DecodeCost>]> {
    return [...this.#gateways].sort(([, a], [, b]) => b.ms - a.ms).slice(0, limit);
  }
}

function nothing(): DecodeCost {
  return { messages: 0, bytes: 0, ms: 0 };
}

function add(cost: DecodeCost, ms: number, bytes: number): void {
  cost.messages += 1;
  cost.bytes += bytes;
  cost.ms += ms;
}
