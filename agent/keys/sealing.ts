/**
 * Sealing of envelopes to the routers' public keys (`router_seal_keys`), for streams with `seal: true`. A
 * content key serves for an hour, and is wrapped once for each router's key.
 */
import { createPublicKey, type KeyObject } from 'node:crypto';
import { z } from 'zod';
import type { Clock, Timer } from '../../shared/clock.ts';
import type { Entropy } from '../../shared/entropy.ts';
import { type EnvelopeSealer, RECIPIENTS_MAX } from '../../shared/envelope/seal.ts';
import { errorText, type Logger } from '../../shared/log.ts';
import type { ObservedMetrics } from '../../shared/observed-metrics.ts';
import type { Policy } from '../../shared/policy/policy.ts';
import { isSealKey } from '../../shared/sealing/seal-key.ts';
import { openSession } from '../../shared/sealing/session.ts';
import type { Service } from '../../shared/service.ts';
import { keyIdOf } from '../../shared/signing/signature.ts';

const SESSION_MS = 3_600_000;
const RETRY_MS = 5000;
const POLICY_HINT = 'a stream with seal: true waits in the buffer';

/** Null for a text that is no X25519 public key, a private one included. */
function sealKeyIn(pem: string): KeyObject | null {
  if (!pem.includes('-----BEGIN PUBLIC KEY-----')) return null;
  try {
    const key = createPublicKey(pem);
    return isSealKey(key) ? key : null;
  } catch {
    // The error of a parser may quote what it parses.
    return null;
  }
}

export const routerSealKeys = z
  .array(z.string().refine((pem) => sealKeyIn(pem) !== null, 'expected an X25519 public key in PEM'))
  .max(RECIPIENTS_MAX)
  .default([])
  .describe(
    'Public keys (PEM, X25519) of the routers, as headgate keys export prints them for a router. Streams with seal: true are sealed to each of them.',
  );

const signs = z.object({ envelopes: z.literal(true) });

/** Streams with `seal: true` that could not be sealed: their records would never leave the buffer. */
export function sealIssues(
  policy: Policy,
  { router_seal_keys: keys, signing }: { router_seal_keys?: unknown; signing?: unknown },
): Array<{ path: PropertyKey[]; message: string; params: { hint: string } }> {
  const hasKeys = Array.isArray(keys) && keys.length > 0;
  if (hasKeys && signs.safeParse(signing).success) return [];
  const missing = hasKeys
    ? { message: 'only a signed envelope is sealed', params: { hint: 'set signing.envelopes: true' } }
    : { message: 'no key to seal to is known', params: { hint: 'give router_seal_keys' } };
  return Object.entries(policy.streams).flatMap(([stream, { seal }]) =>
    seal ? [{ path: ['streams', stream, 'seal'], ...missing }] : [],
  );
}

export interface SealingOptions {
  gateway: string;
  keys: readonly string[];
  clock: Clock;
  entropy: Entropy;
  log: Logger;
}

export class Sealing implements Service {
  readonly #options: SealingOptions;
  readonly #keys: readonly KeyObject[];
  #sealer: EnvelopeSealer | null = null;
  #timer: Timer | null = null;
  #renewing: Promise<void> = Promise.resolve();
  #isStopping: boolean = false;

  constructor(options: SealingOptions) {
    this.#options = options;
    this.#keys = options.keys.flatMap((pem) => sealKeyIn(pem) ?? []);
  }

  /** The routers' keys that are sealed to. */
  get keyIds(): string[] {
    return this.#keys.map(keyIdOf);
  }

  /** Null without keys, and until the first content key is wrapped. */
  get sealer(): EnvelopeSealer | null {
    return this.#sealer;
  }

  async start(): Promise<void> {
    if (this.#keys.length === 0) return;
    await this.#renew();
  }

  async stop(): Promise<void> {
    this.#isStopping = true;
    this.#timer?.cancel();
    await this.#renewing;
  }

  /** The content key before stays in use until another one is wrapped. */
  async #renew(): Promise<void> {
    const { gateway, clock, entropy, log } = this.#options;
    let nextMs = SESSION_MS;
    try {
      this.#sealer = await openSession(this.#keys, { gateway, entropy });
      log.debug({ event: 'keys.sealing', keyIds: this.keyIds });
    } catch (error) {
      nextMs = RETRY_MS;
      log.error({ event: 'keys.not_sealing', error: errorText(error), hint: POLICY_HINT });
    }
    if (this.#isStopping) return;
    this.#timer = clock.setTimer(nextMs, () => {
      this.#renewing = this.#renew();
    });
  }
}

export function registerSealing(metrics: ObservedMetrics, { keyIds }: Sealing, policy: () => Policy): void {
  metrics.gauge('sealed_streams', 'Streams of the policy whose envelopes are sealed.', [], () => [
    [{}, Object.values(policy().streams).filter(({ seal }) => seal).length],
  ]);
  metrics.gauge('seal_keys', 'Keys of routers that envelopes are sealed to.', [], () => [
    [{}, keyIds.length],
  ]);
}
