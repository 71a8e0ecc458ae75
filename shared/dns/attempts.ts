/**
 * Which addresses were reached and which were not, so that a name's addresses are tried in the order in which
 * they are likely to answer. Node.js tries them one after the other, and begins anew with each connection: a
 * try with a deadline shorter than an address without an answer takes would never come to the next.
 */
import type { LookupAddress } from 'node:dns';
import type { Socket } from 'node:net';
import type { Clock } from '../clock.ts';

/** Addresses that are remembered (I10). */
const FAILED_MAX = 1024;

export class Attempts {
  readonly #clock: Clock;
  /** When an address did not answer, since it last did; the one that failed longest ago comes first. */
  readonly #failedAtMs = new Map<string, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  reached(address: string): void {
    this.#failedAtMs.delete(address);
  }

  failed(address: string): void {
    this.#failedAtMs.delete(address);
    this.#failedAtMs.set(address, this.#clock.monoMs());
    const [oldest] = this.#failedAtMs.keys();
    if (this.#failedAtMs.size > FAILED_MAX && oldest !== undefined) this.#failedAtMs.delete(oldest);
  }

  /**
   * First the family of which no address failed, or the one whose failure is longest ago; within a family
   * likewise. Without failures the order stays the resolver's.
   */
  ordered(addresses: readonly LookupAddress[]): LookupAddress[] {
    const failedMs = ({ address }: LookupAddress): number => this.#failedAtMs.get(address) ?? 0;
    const familyMs = new Map<number, number>();
    for (const one of addresses)
      familyMs.set(one.family, Math.max(familyMs.get(one.family) ?? 0, failedMs(one)));
    const rank = ({ family }: LookupAddress): number => familyMs.get(family) ?? 0;
    return addresses.toSorted((a, b) => rank(a) - rank(b) || failedMs(a) - failedMs(b));
  }

  /** Learns from what becomes of a socket's connection. */
  follow(socket: Socket): void {
    let tried: string | null = null;
    const failed = (): void => {
      if (tried !== null) this.failed(tried);
      tried = null;
    };
    socket.on('connectionAttempt', (address: string) => {
      tried = address;
    });
    socket.on('connectionAttemptFailed', failed);
    socket.on('connectionAttemptTimeout', failed);
    socket.once('connect', () => {
      tried = null;
      if (socket.remoteAddress !== undefined) this.reached(socket.remoteAddress);
    });
    // Given up by who asked: of an address alone, Node.js tells no failed attempt.
    socket.once('close', failed);
  }
}
