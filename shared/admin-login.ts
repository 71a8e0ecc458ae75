/**
 * The login of an admin server: one token, as `authorization: Bearer …` (RFC 6750), or as the password of
 * Basic (RFC 7617) beside any user name, for browsers. Wrong tokens are bounded. Another host has ten a
 * minute; then every request of its network is refused. On this machine, where a limit would lock out the
 * operator beside an attacker, each of the few connections has one, and waits a second for the answer.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { Socket } from 'node:net';
import type { Clock } from './clock.ts';
import { isLoopback } from './config/common.ts';
import { networkOf } from './network/network-of.ts';
import type { WarningLog } from './sparse-log.ts';
import { SparseLog } from './sparse-log.ts';
import { TokenBucket } from './token-bucket.ts';

const WRONG = { perSecond: 10 / 60, burstSeconds: 60 };
/** Bound on the networks whose wrong tokens are counted (I10). */
const NETWORKS_MAX = 10_000;
const WRONG_ANSWER_MS = 1000;

/** `none`: no token. `limited`: too many wrong ones from there. */
export type AdminLoginResult = 'ok' | 'none' | 'wrong' | 'limited';

export interface AdminLoginRequest {
  /** The header. */
  authorization: string | undefined;
  /** Remote address. */
  ip: string;
  socket: Socket;
}

export class AdminLogin {
  readonly #digest: Buffer;
  readonly #clock: Clock;
  readonly #log: SparseLog;
  readonly #wrong = new Map<string, TokenBucket>();
  /** Connections of this machine with a wrong token: a further request on one is not decided. */
  readonly #ending = new WeakSet<Socket>();

  constructor(token: string, deps: { clock: Clock; log: WarningLog }) {
    this.#digest = digestOf(token);
    this.#clock = deps.clock;
    this.#log = new SparseLog(deps);
  }

  /** Resolves after a while for a wrong token of this machine; the connection must end after that answer. */
  async check({ authorization, ip, socket }: AdminLoginRequest): Promise<AdminLoginResult> {
    const token = tokenOf(authorization);
    if (token === null) return 'none';
    const network = networkOf(ip);
    const isHere = isLoopback(network);
    if (isHere ? this.#ending.has(socket) : this.#isLimited(network)) return 'limited';
    // Digests have one length, so that the comparison takes the same time for every token.
    if (timingSafeEqual(digestOf(token), this.#digest)) return 'ok';
    this.#log.warn('admin.login_refused', { address: ip });
    if (!isHere) this.#bucketOf(network).tryTake(this.#clock.monoMs());
    else {
      this.#ending.add(socket);
      await this.#clock.sleep(WRONG_ANSWER_MS);
    }
    return 'wrong';
  }

  #isLimited(network: string): boolean {
    return (this.#wrong.get(network)?.waitMs(this.#clock.monoMs()) ?? 0) > 0;
  }

  #bucketOf(network: string): TokenBucket {
    const { perSecond, burstSeconds } = WRONG;
    const bucket = this.#wrong.get(network) ?? new TokenBucket(perSecond, burstSeconds, this.#clock.monoMs());
    this.#wrong.delete(network);
    this.#wrong.set(network, bucket);
    const [oldest] = this.#wrong.keys();
    if (this.#wrong.size > NETWORKS_MAX && oldest !== undefined) this.#wrong.delete(oldest);
    return bucket;
  }
}

/** Null without a token. */
function tokenOf(authorization: string | undefined): string | null {
  const [, scheme = '', value = ''] = /^(\w+) +(\S+)$/.exec(authorization ?? '') ?? [];
  if (/^bearer$/i.test(scheme)) return value;
  if (!/^basic$/i.test(scheme)) return null;
  const pair = Buffer.from(value, 'base64').toString();
  return pair.slice(pair.indexOf(':') + 1);
}

function digestOf(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}
