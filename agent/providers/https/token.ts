/**
 * Signs this gateway's tokens. A Raspberry Pi boots in 1970, and its token would be refused for its time. The
 * router's answers carry the router's time, which corrects the next token.
 */
import { createPrivateKey, type KeyObject } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { type Clock, wallMsOf } from '../../../shared/clock.ts';
import { tokenAlgorithm } from '../../../shared/gateway-token.ts';

const LIFE_S = 300;
/** A token with less remaining time is not used for another request. */
const SPARE_MS = 60_000;
/** A router's clock tolerance; a smaller difference is not the cause of a refusal. */
const SKEW_MS = 60_000;

interface Signed {
  gateway: string;
  token: string;
  untilMs: number;
}

export class TokenSigner {
  readonly #key: KeyObject;
  readonly #algorithm: string;
  readonly #audience: string;
  readonly #clock: Clock;
  /** The router's clock minus the gateway's. */
  #skewMs = 0;
  #last: Signed | null = null;

  /** Rejects when the file is unreadable, or holds no key of an accepted kind. */
  static async open(file: string, audience: string, clock: Clock): Promise<TokenSigner> {
    const key = createPrivateKey(await readFile(file));
    const algorithm = tokenAlgorithm(key);
    if (algorithm === null) throw new Error(`${file}: expected an Ed25519 or P-256 private key`);
    return new TokenSigner({ key, algorithm, audience, clock });
  }

  private constructor(options: { key: KeyObject; algorithm: string; audience: string; clock: Clock }) {
    this.#key = options.key;
    this.#algorithm = options.algorithm;
    this.#audience = options.audience;
    this.#clock = options.clock;
  }

  /** The `authorization` header for this gateway. */
  async header(gateway: string): Promise<string> {
    const nowMs = this.#clock.wallMs() + this.#skewMs;
    const last = this.#last;
    if (last?.gateway === gateway && last.untilMs - nowMs > SPARE_MS && last.untilMs - nowMs <= LIFE_S * 1000)
      return `Bearer ${last.token}`;
    // Only here: most gateways have no provider of this type.
    const { SignJWT } = await import('jose');
    const nowS = Math.floor(nowMs / 1000);
    const token = await new SignJWT()
      .setProtectedHeader({ alg: this.#algorithm, typ: 'JWT' })
      .setSubject(gateway)
      .setAudience(this.#audience)
      .setIssuedAt(nowS)
      .setExpirationTime(nowS + LIFE_S)
      .sign(this.#key);
    this.#last = { gateway, token, untilMs: (nowS + LIFE_S) * 1000 };
    return `Bearer ${token}`;
  }

  /** Reads the `date` of a refusal; true when the next token will have another time. */
  corrected(date: string | undefined): boolean {
    const theirsMs = wallMsOf(date ?? '');
    if (Number.isNaN(theirsMs)) return false;
    const skewMs = theirsMs - this.#clock.wallMs();
    if (Math.abs(skewMs - this.#skewMs) < SKEW_MS) return false;
    this.#skewMs = skewMs;
    this.#last = null;
    return true;
  }
}
