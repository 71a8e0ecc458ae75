/**
 * Delivers one envelope to `copies` different providers: the same bytes, one provider after the other (or at
 * once, for more than one copy), until enough have accepted it or no other may take it now. An undelivered
 * envelope goes back to the buffer and waits there; this class never waits for a provider to recover or for
 * room.
 *
 * A try that outlives its hedge delay gets a second try beside it, at a provider that neither holds the
 * envelope nor is being asked. The first acceptances win. Hedges that are still under way are then taken
 * back. The slow tries that they were to overtake go on to their own end, because they are the measurement: a
 * provider whose slow answers are cut off would look fast, and a silent provider would never be noticed
 * (docs/decisions/0009-hedging.md).
 */
import type { Timer } from '../../../shared/clock.ts';
import type { SendReason } from '../../../shared/envelope/send-reason.ts';
import type { OutboundEnvelope, Outcome } from '../../providers/publisher.ts';

/** The envelope for one provider: the same bytes for all, plus the reason why this provider gets it too. */
export function withReason(message: OutboundEnvelope, why: SendReason | null): OutboundEnvelope {
  return why === null ? message : { ...message, properties: { ...message.properties, why } };
}

/**
 * `delivered`: enough providers hold the envelope. Otherwise it goes back to the buffer: `refused` when no
 * other provider may take it, `crowded` when the providers that may have no room now.
 */
export type DeliveryEnd = 'delivered' | 'refused' | 'crowded';

/**
 * How a hedge ended. `won`: it delivered; `lost`: its answer came second; `cancelled`: it was taken back;
 * `failed`: it was not accepted.
 */
export type HedgeEnd = 'won' | 'lost' | 'cancelled' | 'failed';

export interface DeliveryPorts {
  /** Providers that may take the stream now, best first, without `exclude` (respects I4). */
  candidates(stream: string, exclude: ReadonlySet<string>): string[];
  /** Whether the provider has room; reserves it for the next try. */
  reserve(provider: string): boolean;
  /**
   * One try at one provider, in its reserved room. `why`: the reason for an additional provider; `signal`
   * takes the try back.
   */
  send(provider: string, why: SendReason | null, signal?: AbortSignal): Promise<Outcome>;
  /** Calls `run` when a try that begins now outlives its hedge delay; null when the try is not hedged. */
  afterHedgeDelay(provider: string, run: () => void): Timer | null;
  /**
   * A provider for a hedge, without `exclude` (respects I4), within the budget and with room reserved; or
   * null.
   */
  takeHedge(slow: string, exclude: ReadonlySet<string>): string | null;
  onHedgeEnd(slow: string, end: HedgeEnd): void;
  /** Called at each acceptance, before the next step. */
  onAccepted(provider: string): void;
  onFailed(provider: string): void;
}

/** One wanted copy: a try and its hedges. The copy is served once one of them is accepted. */
interface Copy {
  isServed: boolean;
}

interface Flight {
  readonly provider: string;
  readonly copy: Copy;
  /**
   * The slow provider that the hedge is to overtake, and the hedge's abort; null for a try that is not a
   * hedge.
   */
  readonly hedge: { slow: string; abort: AbortController } | null;
  timer: Timer | null;
}

/**
 * Rejects only when a port throws. After `delivered`, tries may still be under way; their senders count them,
 * and they change nothing here.
 */
export function deliver(
  message: OutboundEnvelope,
  copies: number,
  acceptedBefore: ReadonlySet<string>,
  ports: DeliveryPorts,
): Promise<DeliveryEnd> {
  return new Delivery(message.stream, copies, acceptedBefore, ports).run();
}

class Delivery {
  readonly #stream: string;
  readonly #copies: number;
  readonly #ports: DeliveryPorts;
  /** Providers that are not asked (again): they hold the envelope, are being asked, or have just failed. */
  readonly #asked: Set<string>;
  readonly #flights = new Set<Flight>();
  readonly #end = Promise.withResolvers<DeliveryEnd>();
  #accepted: number;
  #hasFailed: boolean = false;
  #isOver: boolean = false;

  constructor(stream: string, copies: number, acceptedBefore: ReadonlySet<string>, ports: DeliveryPorts) {
    this.#stream = stream;
    this.#copies = copies;
    this.#ports = ports;
    this.#asked = new Set(acceptedBefore);
    this.#accepted = acceptedBefore.size;
  }

  run(): Promise<DeliveryEnd> {
    this.#guarded(() => this.#advance());
    return this.#end.promise;
  }

  #advance(): void {
    if (this.#accepted >= this.#copies) {
      this.#finish('delivered');
      return;
    }
    const wanted = this.#copies - this.#accepted - this.#copiesUnderWay();
    const isCrowded = wanted > 0 && this.#askSome(wanted);
    if (this.#flights.size === 0) this.#finish(isCrowded ? 'crowded' : 'refused');
  }

  /** Asks the best providers with room; returns whether one of them had no room. */
  #askSome(wanted: number): boolean {
    let left = wanted;
    let isCrowded = false;
    for (const provider of this.#ports.candidates(this.#stream, this.#asked)) {
      if (left === 0) break;
      if (this.#ports.reserve(provider)) {
        this.#ask(provider, { isServed: false }, null);
        left -= 1;
      } else {
        isCrowded = true;
      }
    }
    return isCrowded;
  }

  /** A hedge and its slow try count as one copy; an overtaken try does not count. */
  #copiesUnderWay(): number {
    const copies = [...this.#flights].filter(({ copy }) => !copy.isServed).map(({ copy }) => copy);
    return new Set(copies).size;
  }

  #ask(provider: string, copy: Copy, slow: string | null): void {
    this.#asked.add(provider);
    const hedge = slow === null ? null : { slow, abort: new AbortController() };
    const flight: Flight = { provider, copy, hedge, timer: null };
    this.#flights.add(flight);
    flight.timer = this.#ports.afterHedgeDelay(provider, () => this.#overtake(flight));
    this.#ports.send(provider, this.#why(slow), hedge?.abort.signal).then(
      (outcome) => this.#guarded(() => this.#landed(flight, outcome)),
      (error: unknown) => this.#fail(error),
    );
  }

  #why(slow: string | null): SendReason | null {
    if (slow !== null) return 'hedge';
    if (this.#hasFailed) return 'failover';
    return this.#copies > 1 ? 'redundant' : null;
  }

  #overtake({ provider: slow, copy }: Flight): void {
    if (this.#isOver || copy.isServed) return;
    this.#guarded(() => {
      const provider = this.#ports.takeHedge(slow, this.#asked);
      if (provider !== null) this.#ask(provider, copy, slow);
    });
  }

  #landed(flight: Flight, outcome: Outcome): void {
    flight.timer?.cancel();
    this.#flights.delete(flight);
    if (flight.hedge) this.#ports.onHedgeEnd(flight.hedge.slow, hedgeEnd(outcome, flight.copy));
    if (this.#isOver) return;
    if (outcome.kind === 'accepted') {
      this.#accepted += 1;
      flight.copy.isServed = true;
      this.#takeBack(flight.copy);
      this.#ports.onAccepted(flight.provider);
    } else {
      this.#hasFailed = true;
      this.#ports.onFailed(flight.provider);
    }
    this.#advance();
  }

  /** Takes back the hedges of a served copy, or all hedges when no copy is wanted any more. */
  #takeBack(served: Copy | null): void {
    for (const { copy, timer, hedge } of this.#flights) {
      if (served !== null && copy !== served) continue;
      timer?.cancel();
      hedge?.abort.abort();
    }
  }

  #finish(end: DeliveryEnd): void {
    this.#isOver = true;
    this.#takeBack(null);
    this.#end.resolve(end);
  }

  #fail(error: unknown): void {
    this.#isOver = true;
    this.#takeBack(null);
    this.#end.reject(error);
  }

  /** A port that throws is a bug: the caller gets the error and returns the rows to the buffer. */
  #guarded(step: () => void): void {
    try {
      step();
    } catch (error) {
      this.#fail(error);
    }
  }
}

function hedgeEnd(outcome: Outcome, { isServed }: Copy): HedgeEnd {
  if (outcome.kind === 'accepted') return isServed ? 'lost' : 'won';
  return outcome.kind === 'cancelled' ? 'cancelled' : 'failed';
}
