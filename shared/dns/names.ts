/**
 * Names and their addresses, for every connection of the process. The system's own resolver answers
 * (getaddrinfo: hosts file, search domains, resolv.conf as it is now), but each of its look-ups holds a
 * thread until it ends, and one without an answer holds it for ten seconds and more. So one look-up per name
 * is under way at a time, however many ask and give up; who asks has an answer or an error within a bound;
 * and the last good answer is used while a new one does not come (RFC 8767, "Serving Stale Data to Improve
 * DNS Resiliency").
 */
import type { LookupAddress } from 'node:dns';
import type { Clock } from '../clock.ts';
import { errorText, type Logger } from '../log.ts';
import { within } from '../within.ts';
import { Places } from './places.ts';

/** An answer this young is used without asking: connections that end together are made together. */
const FRESH_MS = 5000;
/** How long a new answer is waited for where an older one is at hand. */
const GRACE_MS = 250;
/** How long an answer is waited for where there is none. */
const ANSWER_MS = 10_000;
/** An older answer than that is not used (RFC 8767 recommends one to three days). */
const STALE_MS = 86_400_000;
/** Answers that are kept (I10); a configuration names some ten. */
const ANSWERS_MAX = 256;

/** The parameters of a look-up; `key` is the same for the same question. */
export interface Question {
  key: string;
  host: string;
}

interface Good {
  addresses: readonly LookupAddress[];
  atMs: number;
  /** It is used although it is no longer fresh, and that is told. */
  isTold: boolean;
}

interface Asked {
  startedMs: number;
  /** The error where there are no addresses. Never rejects. */
  answer: Promise<readonly LookupAddress[] | Error>;
}

export interface NamesOptions<Asks extends Question> {
  /** The system's resolver; rejects with its error. */
  ask: (question: Asks) => Promise<readonly LookupAddress[]>;
  /** Look-ups that may be under way at once. */
  placesMax: number;
  clock: Clock;
  log: Pick<Logger, 'warn' | 'info'>;
}

/** A look-up that was not answered in time: the code is getaddrinfo's own for it. */
function lateError(host: string, afterMs: number): Error {
  const error = new Error(`getaddrinfo EAI_AGAIN ${host}: no answer within ${afterMs} ms`);
  return Object.assign(error, { code: 'EAI_AGAIN', syscall: 'getaddrinfo', hostname: host });
}

export class Names<Asks extends Question> {
  readonly #options: NamesOptions<Asks>;
  readonly #places: Places;
  /** The one that was good longest ago comes first. */
  readonly #good = new Map<string, Good>();
  readonly #asked = new Map<string, Asked>();
  readonly counts = { answered: 0, failed: 0, stale: 0 };

  constructor(options: NamesOptions<Asks>) {
    this.#options = options;
    this.#places = new Places(options.placesMax);
  }

  /** Look-ups that are under way, or wait for a place. */
  get underWay(): number {
    return this.#asked.size;
  }

  /**
   * Its addresses, in the resolver's order. Rejects with the resolver's error, or EAI_AGAIN when it is late.
   */
  async lookup(question: Asks): Promise<readonly LookupAddress[]> {
    const { clock } = this.#options;
    const good = this.#usable(question.key);
    const ageMs = good === null ? 0 : clock.monoMs() - good.atMs;
    if (good !== null && ageMs < FRESH_MS) return good.addresses;
    const asked = this.#asked.get(question.key) ?? this.#ask(question);
    const limitMs = good === null ? ANSWER_MS : GRACE_MS - (clock.monoMs() - asked.startedMs);
    const late = (): Error => lateError(question.host, good === null ? ANSWER_MS : GRACE_MS);
    const answer = limitMs <= 0 ? late() : await within(clock, limitMs, asked.answer, late);
    if (!(answer instanceof Error)) return answer;
    if (good === null) throw answer;
    this.#tellStale(question.host, good, answer);
    return good.addresses;
  }

  #usable(key: string): Good | null {
    const good = this.#good.get(key);
    if (!good || this.#options.clock.monoMs() - good.atMs > STALE_MS) return null;
    return good;
  }

  #ask(question: Asks): Asked {
    const { clock } = this.#options;
    const { key } = question;
    const answer = this.#places.run(key, () => this.#answer(question));
    const asked = { startedMs: clock.monoMs(), answer };
    this.#asked.set(key, asked);
    void answer.then(() => this.#asked.delete(key));
    return asked;
  }

  async #answer(question: Asks): Promise<readonly LookupAddress[] | Error> {
    const { ask, clock } = this.#options;
    const startedMs = clock.monoMs();
    try {
      const addresses = await ask(question);
      this.counts.answered += 1;
      this.#keep(question, addresses);
      return addresses;
    } catch (error) {
      this.counts.failed += 1;
      return error instanceof Error ? error : new Error(errorText(error));
    } finally {
      this.#places.proved(question.key, clock.monoMs() - startedMs);
    }
  }

  #keep({ key, host }: Asks, addresses: readonly LookupAddress[]): void {
    const { clock, log } = this.#options;
    if (this.#good.get(key)?.isTold) log.info({ event: 'dns.answered', host });
    this.#good.delete(key);
    this.#good.set(key, { addresses, atMs: clock.monoMs(), isTold: false });
    const [oldest] = this.#good.keys();
    if (this.#good.size > ANSWERS_MAX && oldest !== undefined) this.#good.delete(oldest);
  }

  #tellStale(host: string, good: Good, problem: Error): void {
    this.counts.stale += 1;
    if (good.isTold) return;
    good.isTold = true;
    const ageMs = Math.round(this.#options.clock.monoMs() - good.atMs);
    this.#options.log.warn({ event: 'dns.stale', host, ageMs, problem: errorText(problem) });
  }
}
