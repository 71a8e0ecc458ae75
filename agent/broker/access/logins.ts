/**
 * Password logins within bounds. One scrypt costs 50 ms of CPU, so at most two run at a time, and wrong
 * passwords from all addresses together get ten computations a second, after a first burst. Logins wait in a
 * queue that serves the addresses in turn: a flood from one address delays a login from another by one
 * computation for each address that waits. Over the rate nothing is refused for the failures of others; the
 * queue only moves at the pace of that rate. Each address has a bounded number of places, and a full queue
 * takes the newest place of the address with the most. A login whose client is gone is not computed.
 *
 * A correct password is remembered as an HMAC under a key of this process, for a week after its last use. So
 * the reconnection of a thousand devices costs nothing, and known devices pass at once while others fail.
 *
 * The response time reveals no name: an unknown device, and one without a password, is compared with the hash
 * of a random password. Its login takes the same way through the same queue, costs the same HMAC and scrypt,
 * and counts as the same failure. A name with many failures from one address is refused there before any
 * computation, known or not. The limit is by address and name because many devices share an address behind
 * NAT or a proxy.
 */
import { createHmac } from 'node:crypto';
import type { Clock, Timer } from '../../../shared/clock.ts';
import type { Entropy } from '../../../shared/entropy.ts';
import { TokenBucket } from '../../../shared/token-bucket.ts';
import { FairQueue } from './fair-queue.ts';
import { FailedLogins, RememberedLogins } from './login-memory.ts';
import { unknownPassword, verifyPassword } from './password.ts';

const CONCURRENT_MAX = 2;
/** Devices time out on the CONNACK before this many scrypts are done. */
const WAITING_MAX = { perSource: 500, total: 1000 };
const WRONG_PASSWORDS = { perSecond: 10, burstSeconds: 100 };

/**
 * `wrong`: no such device, or not its password. `limited`: too many failures of that name from that address.
 * `busy`: too many logins wait, or the client is gone.
 */
export type LoginResult = 'ok' | 'wrong' | 'limited' | 'busy';

export interface Login {
  name: string;
  /** The device's stored password hash; null for an unknown device or one without a password. */
  hash: string | null;
  password: Uint8Array;
  /** Remote address of the client. */
  address: string;
  /** Whether the client's connection has ended. */
  isGone?: () => boolean;
}

interface Waiting {
  login: Login;
  tag: Buffer;
  resolve: (result: LoginResult) => void;
  reject: (error: unknown) => void;
}

export class Logins {
  readonly #clock: Clock;
  readonly #key: Uint8Array;
  readonly #unknown: string;
  readonly #remembered = new RememberedLogins();
  readonly #failures = new FailedLogins();
  readonly #waiting = new FairQueue<Waiting>(WAITING_MAX);
  readonly #wrong: TokenBucket;
  #running = 0;
  /** Set while the queue waits for the rate of wrong passwords. */
  #pause: Timer | null = null;

  /** `wrong`: rate of wrong-password computations, over all names and addresses. */
  constructor(clock: Clock, entropy: Entropy, wrong = WRONG_PASSWORDS) {
    this.#clock = clock;
    this.#wrong = new TokenBucket(wrong.perSecond, wrong.burstSeconds, clock.monoMs());
    this.#key = entropy.bytes(32);
    this.#unknown = unknownPassword(entropy);
  }

  /** Resolves when the login is decided; rejects where scrypt fails, for want of memory. */
  async check(login: Login): Promise<LoginResult> {
    const tag = this.#tagOf(login);
    if (this.#remembered.has(login.name, tag, this.#now())) {
      this.#remembered.add(login.name, tag, this.#now());
      return 'ok';
    }
    if (this.#failures.areMany(login, this.#now())) return 'limited';
    return new Promise((resolve, reject) => {
      if (this.#waiting.size >= WAITING_MAX.total) this.#dropGone();
      this.#waiting.push(login.address, { login, tag, resolve, reject })?.resolve('busy');
      this.#serve();
    });
  }

  /** Starts as many computations as the bounds allow. */
  #serve(): void {
    this.#pause?.cancel();
    this.#pause = null;
    while (this.#running < CONCURRENT_MAX && this.#waiting.size > 0) {
      const waitMs = this.#wrong.waitMs(this.#now());
      if (waitMs > 0) {
        this.#dropGone();
        if (this.#waiting.size > 0) this.#pause = this.#clock.setTimer(waitMs, () => this.#serve());
        return;
      }
      const next = this.#waiting.shift();
      if (!next) return;
      // Logins for the same name may have failed meanwhile: a burst gets no more tries than a sequence.
      if (isGone(next)) next.resolve('busy');
      else if (this.#failures.areMany(next.login, this.#now())) next.resolve('limited');
      else void this.#decide(next);
    }
  }

  async #decide({ login, tag, resolve, reject }: Waiting): Promise<void> {
    this.#running += 1;
    this.#wrong.take(1, this.#now());
    try {
      const isRight = await verifyPassword(login.password, login.hash ?? this.#unknown);
      if (isRight && login.hash !== null) {
        this.#wrong.giveBack(1);
        this.#remembered.add(login.name, tag, this.#now());
        resolve('ok');
      } else {
        this.#failures.add(login, this.#now());
        resolve('wrong');
      }
    } catch (error) {
      reject(error);
    } finally {
      this.#running -= 1;
      this.#serve();
    }
  }

  #dropGone(): void {
    for (const { resolve } of this.#waiting.remove(isGone)) resolve('busy');
  }

  /** The HMAC covers the stored hash too, so a new password invalidates the remembered one. */
  #tagOf({ name, hash, password }: Login): Buffer {
    const text = `${name}\0${hash ?? this.#unknown}\0`;
    return createHmac('sha256', this.#key).update(text).update(password).digest();
  }

  #now(): number {
    return this.#clock.monoMs();
  }
}

function isGone({ login }: Waiting): boolean {
  return login.isGone?.() === true;
}
