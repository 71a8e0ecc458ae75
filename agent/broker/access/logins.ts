/**
 * Password logins within bounds. One scrypt costs 50 ms of CPU, so at most two run at a time, the queue is
 * bounded, and wrong passwords from all addresses together get ten computations a second. A correct password
 * is remembered for ten minutes as an HMAC under a key of this process. So the reconnection of a thousand
 * devices costs nothing, and failures of other clients behind the same address do not lock these devices out.
 * An unknown device costs the same scrypt as a wrong password, so the response time does not reveal the known
 * names. A name with many failures from one address is refused there before any computation. The limit is by
 * address and name because many devices share an address behind NAT or a proxy.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import type { Clock } from '../../../shared/clock.ts';
import type { Entropy } from '../../../shared/entropy.ts';
import { TokenBucket } from '../rates/token-bucket.ts';
import { unknownPassword, verifyPassword } from './password.ts';

const CONCURRENT_MAX = 2;
/** Devices time out on the CONNACK before this many scrypts are done. */
const WAITING_MAX = 1000;
const FAILURES_MAX = 10;
const FAILURES_WINDOW_MS = 60_000;
/** Bound on the (address, name) pairs whose failures are counted (I10). */
const FAILING_MAX = 10_000;
const WRONG_PASSWORDS = { perSecond: 10, burstSeconds: 100 };
const REMEMBERED_MS = 600_000;
const REMEMBERED_MAX = 10_000;

/**
 * `wrong`: no such device, or not its password. `limited`: too many failures of that name from that address.
 * `busy`: too many logins at once, or too many wrong passwords from everywhere.
 */
export type LoginResult = 'ok' | 'wrong' | 'limited' | 'busy';

export interface Login {
  name: string;
  /** The device's stored password hash; null for an unknown device or one without a password. */
  hash: string | null;
  password: Uint8Array;
  /** Remote address of the client. */
  address: string;
}

export class Logins {
  readonly #clock: Clock;
  readonly #key: Uint8Array;
  readonly #unknown: string;
  readonly #remembered = new Map<string, { tag: Buffer; untilMs: number }>();
  readonly #failures = new Map<string, { count: number; untilMs: number }>();
  readonly #waiting: Array<() => void> = [];
  readonly #wrong: TokenBucket;
  #running = 0;

  /** `wrong`: rate of wrong-password computations, over all names and addresses. */
  constructor(clock: Clock, entropy: Entropy, wrong = WRONG_PASSWORDS) {
    this.#clock = clock;
    this.#wrong = new TokenBucket(wrong.perSecond, wrong.burstSeconds, clock.monoMs());
    this.#key = entropy.bytes(32);
    this.#unknown = unknownPassword(entropy);
  }

  async check(login: Login): Promise<LoginResult> {
    const tag = this.#tagOf(login);
    if (tag && this.#isRemembered(login.name, tag)) return 'ok';
    if (this.#isLimited(login)) return 'limited';
    if (!this.#wrong.has(this.#now())) return 'busy';
    if (this.#waiting.length >= WAITING_MAX) return 'busy';
    if (this.#running >= CONCURRENT_MAX) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#running += 1;
    try {
      // Logins for the same name may have failed meanwhile: a burst gets no more tries than a sequence.
      if (this.#isLimited(login)) return 'limited';
      if (!this.#wrong.has(this.#now())) return 'busy';
      const right = await verifyPassword(login.password, login.hash ?? this.#unknown);
      if (!right || !tag) {
        this.#wrong.take(1, this.#now());
        this.#addFailure(login);
        return 'wrong';
      }
      keep(this.#remembered, login.name, { tag, untilMs: this.#now() + REMEMBERED_MS }, REMEMBERED_MAX);
      return 'ok';
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#running -= 1;
    }
  }

  /**
   * The HMAC covers the stored hash too, so a new password invalidates the remembered one. Null for a device
   * without a hash.
   */
  #tagOf({ name, hash, password }: Login): Buffer | null {
    if (hash === null) return null;
    return createHmac('sha256', this.#key).update(`${name}\0${hash}\0`).update(password).digest();
  }

  #isRemembered(name: string, tag: Buffer): boolean {
    const known = this.#remembered.get(name);
    return known !== undefined && this.#now() < known.untilMs && timingSafeEqual(known.tag, tag);
  }

  #isLimited(login: Login): boolean {
    const known = this.#failures.get(failingName(login));
    return known !== undefined && this.#now() < known.untilMs && known.count >= FAILURES_MAX;
  }

  #addFailure(login: Login): void {
    const key = failingName(login);
    const known = this.#failures.get(key);
    const now = this.#now();
    if (known && now < known.untilMs) known.count += 1;
    else keep(this.#failures, key, { count: 1, untilMs: now + FAILURES_WINDOW_MS }, FAILING_MAX);
  }

  #now(): number {
    return this.#clock.monoMs();
  }
}

function failingName({ address, name }: Login): string {
  return `${address}\0${name}`;
}

/** Sets an entry as the newest; over `max` entries, the oldest is deleted (I10). */
function keep<T>(map: Map<string, T>, key: string, value: T, max: number): void {
  map.delete(key);
  map.set(key, value);
  if (map.size <= max) return;
  const [oldest] = map.keys();
  if (oldest !== undefined) map.delete(oldest);
}
