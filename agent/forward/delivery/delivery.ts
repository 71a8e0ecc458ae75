/**
 * One envelope on its way to `copies` different providers: the same bytes, one provider after the other (or
 * at once, for more than one copy), until enough have accepted it or no other may take it now. What is not
 * delivered goes back to the buffer, where it waits; nothing here waits for a provider to recover, or for
 * room at one.
 *
 * A try that outlives its hedge delay gets a second one beside it, at a provider that neither holds the
 * envelope nor is being asked. The first acceptances win. Then hedges that are still under way are taken
 * back; the tries that they were to overtake go on to their own end, because they are the measurement: a
 * provider whose slow answers were cut off would look quick, and one that answers nothing would never be
 * known for it (docs/decisions/0009-hedging.md).
 */
import type { Timer } from '../../../shared/clock.ts';
import type { SendReason } from '../../../shared/envelope/send-reason.ts';
import type { OutboundEnvelope, Outcome } from '../../providers/publisher.ts';

/** An envelope as it leaves for one provider: the same bytes for all, and why this one gets it too. */
export function withReason(message: OutboundEnvelope, why: SendReason | null): OutboundEnvelope {
  return why === null ? message : { ...message, properties: { ...message.properties, why } };
}

/**
 * `delivered`: enough providers hold it. Otherwise it goes back to the buffer: `refused`, because no provider
 * is left that may take it; `crowded`, because those that may have no room for it now.
 */
export type DeliveryEnd = 'delivered' | 'refused' | 'crowded';

/** How a hedge ended: it delivered; its answer came second; it was taken back; it was not accepted. */
export type HedgeEnd = 'won' | 'lost' | 'cancelled' | 'failed';

export interface DeliveryPorts {
  /** Providers that may take the stream now, best first, none of `exclude` (I4 holds there). */
  candidates(stream: string, exclude: ReadonlySet<string>): string[];
  /** Whether the provider has room; it is reserved for the try that follows. */
  reserve(provider: string): boolean;
  /**
   * One try at one provider, in the room reserved there; `why` it is not the only one, `signal` takes it
   * back.
   */
  send(provider: string, why: SendReason | null, signal?: AbortSignal): Promise<Outcome>;
  /**
   * Calls `run` when a try at this provider that begins now has outlived its hedge delay; null when it is not
   * hedged.
   */
  afterHedgeDelay(provider: string, run: () => void): Timer | null;
  /**
   * A provider to hedge this one at now, none of `exclude` (I4 holds there too), paid for and with room
   * reserved; or null.
   */
  takeHedge(slow: string, exclude: ReadonlySet<string>): string | null;
  onHedgeEnd(slow: string, end: HedgeEnd): void;
  /** Called at each acceptance, before the next step. */
  onAccepted(provider: string): void;
  onFailed(provider: string): void;
}

/** One copy that is wanted: a try and its hedges. Served once one of them was accepted. */
interface Copy {
  isServed: boolean;
}

interface Flight {
  readonly provider: string;
  readonly copy: Copy;
  /** The provider that it is to overtake, and what takes it back; null for a try that is no hedge. */
  readonly hedge: { slow: string; abort: AbortController } | null;
  timer: Timer | null;
}

/**
 * Rejects only when a port throws. After `delivered` tries may still be under way; their ends are counted
 * where they are sent, and change nothing here.
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
  /** Providers not to ask (again): they hold it, are being asked, or just failed. */
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

  /** Asks the best that have room; whether one of them had none. */
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

  /** Hedges count with the try that they are to overtake; one that was overtaken counts no more. */
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

  /** Hedges of a copy that is served, or of all when none is wanted any more. */
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

  /** A port that throws is a bug: the caller hears of it, and the rows go back to the buffer there. */
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
