/**
 * Every look-up and every connect of this process by {@link Names} and {@link Attempts}. Some SDKs take a
 * look-up as an option, others do not (gRPC's resolver, the clients that fetch credentials, Azure's, NATS'),
 * but all of them come to `dns.lookup` in the end: so that is what is replaced, here and nowhere else.
 */

import { type ChannelListener, subscribe, unsubscribe } from 'node:diagnostics_channel';
import dns, { type LookupAddress, type LookupAllOptions } from 'node:dns';
import { syncBuiltinESMExports } from 'node:module';
import {
  getDefaultAutoSelectFamilyAttemptTimeout,
  isIP,
  Socket,
  setDefaultAutoSelectFamilyAttemptTimeout,
} from 'node:net';
import { promisify } from 'node:util';
import type { Clock } from '../clock.ts';
import type { Logger } from '../log.ts';
import type { Service } from '../service.ts';
import { Attempts } from './attempts.ts';
import { Names, type Question } from './names.ts';

/**
 * For one address of several, before the next is tried: a round trip over a geostationary satellite takes
 * 700 ms, and the first SYN that is lost is repeated after a second (RFC 6298). Node's own 250 ms never let a
 * slow link connect.
 */
const ATTEMPT_MS = 2000;
/** libuv's, where `UV_THREADPOOL_SIZE` is not set; bin/headgate.js sets it. */
const THREADS = 4;
/** Published by Node.js for each socket before it connects (node:net, "diagnostics_channel"). */
const CHANNEL = 'net.client.socket';

interface Asks extends Question {
  options: LookupAllOptions;
}

type AnyFunction = (...args: never[]) => unknown;

export interface ProcessNamesOptions {
  clock: Clock;
  log: Pick<Logger, 'warn' | 'info'>;
}

/** From `start` to `stop` the process looks names up by it. One at a time. */
export class ProcessNames implements Service {
  readonly names: Names<Asks>;
  readonly #attempts: Attempts;
  readonly #system = { callback: dns.lookup, promise: dns.promises.lookup };
  readonly #follow: ChannelListener = (message) => {
    const socket = Reflect.get(Object(message), 'socket');
    if (socket instanceof Socket) this.#attempts.follow(socket);
  };
  #attemptMs: number | null = null;

  constructor({ clock, log }: ProcessNamesOptions) {
    const { promise: ask } = this.#system;
    this.#attempts = new Attempts(clock);
    this.names = new Names({
      ask: ({ host, options }) => ask(host, options),
      placesMax: lookUpThreads(process.env['UV_THREADPOOL_SIZE']),
      clock,
      log,
    });
  }

  start(): Promise<void> {
    if (this.#attemptMs !== null) return Promise.resolve();
    this.#attemptMs = getDefaultAutoSelectFamilyAttemptTimeout();
    setDefaultAutoSelectFamilyAttemptTimeout(ATTEMPT_MS);
    subscribe(CHANNEL, this.#follow);
    const promise = (host: unknown, options?: unknown): unknown => this.#promised(host, options);
    const callback = (...args: unknown[]): object => this.#called(args);
    Object.defineProperty(callback, promisify.custom, { value: promise });
    replace(dns, callback);
    replace(dns.promises, promise);
    return Promise.resolve();
  }

  stop(): Promise<void> {
    if (this.#attemptMs === null) return Promise.resolve();
    setDefaultAutoSelectFamilyAttemptTimeout(this.#attemptMs);
    this.#attemptMs = null;
    unsubscribe(CHANNEL, this.#follow);
    replace(dns, this.#system.callback);
    replace(dns.promises, this.#system.promise);
    return Promise.resolve();
  }

  /** `dns.lookup`, in any of its forms. */
  #called(args: unknown[]): object {
    const [host, given] = args;
    const callback = args.at(-1);
    const question = questionOf(host, typeof given === 'function' ? undefined : given);
    // Mistakes are the original's to tell.
    if (question === null || typeof callback !== 'function')
      return Reflect.apply(this.#system.callback, dns, args);
    const all = Reflect.get(Object(given), 'all') === true;
    void this.#ordered(question).then(
      (addresses) => {
        // An error that the callback throws is its own, not of this look-up.
        const [first] = addresses;
        process.nextTick(() =>
          all ? callback(null, addresses) : callback(null, first?.address, first?.family),
        );
      },
      (error: unknown) => process.nextTick(() => callback(error)),
    );
    return {};
  }

  /** `dns.promises.lookup`. */
  async #promised(host: unknown, options: unknown): Promise<unknown> {
    const question = questionOf(host, options);
    if (question === null) return Reflect.apply(this.#system.promise, dns.promises, [host, options]);
    const addresses = await this.#ordered(question);
    return Reflect.get(Object(options), 'all') === true ? addresses : addresses[0];
  }

  async #ordered(question: Asks): Promise<LookupAddress[]> {
    return this.#attempts.ordered(await this.names.lookup(question));
  }
}

/** Half of libuv's threads at most hold look-ups, which are "slow I/O" to it. */
function lookUpThreads(size: string | undefined): number {
  const threads = Number.parseInt(size ?? '', 10);
  return Math.floor(((Number.isNaN(threads) ? THREADS : threads) + 1) / 2);
}

/** Null for what needs no look-up, or is not rightly asked. */
function questionOf(host: unknown, given: unknown): Asks | null {
  if (typeof host !== 'string' || host === '' || host.includes('\0') || isIP(host) !== 0) return null;
  const asked = typeof given === 'number' ? { family: given } : (given ?? {});
  if (typeof asked !== 'object') return null;
  const { family = 0, hints = 0, order, verbatim } = asked as LookupAllOptions;
  const number = { IPv4: 4, IPv6: 6 }[String(family)] ?? family;
  if (number !== 0 && number !== 4 && number !== 6) return null;
  if (typeof hints !== 'number') return null;
  const byOrder = order ?? (verbatim === false ? 'ipv4first' : dns.getDefaultResultOrder());
  if (!['verbatim', 'ipv4first', 'ipv6first'].includes(byOrder)) return null;
  const options: LookupAllOptions = { all: true, family: number, hints, order: byOrder };
  return { key: `${host}|${number}|${hints}|${byOrder}`, host, options };
}

/** Imports of `node:dns` see it too. */
function replace(module: typeof dns | typeof dns.promises, lookup: AnyFunction): void {
  Object.assign(module, { lookup });
  syncBuiltinESMExports();
}
