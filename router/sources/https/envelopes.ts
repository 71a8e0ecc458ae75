/** `POST /v1/envelopes`: one envelope, answered with 200 only after the ledger's commit (I5). */
import type { EnvelopeErrorCode } from '../../../shared/envelope/error.ts';
import type { SendReason } from '../../../shared/envelope/send-reason.ts';
import type { DeliveryHandler, IntakeGate } from '../source.ts';
import type { Answer } from './answer.ts';

/** Most envelopes that may wait for the ledger, of one gateway and of all (I10). */
const IN_HAND_PER_GATEWAY_MAX = 32;
const IN_HAND_MAX = 1024;
const RETRY_AFTER_S = 1;
/** The longest wait that a gateway over its quota is told. */
const OVER_QUOTA_S_MAX = 60;

/** Problems that mean damage in transit; any other problem was made by the sender. */
const DAMAGED: ReadonlySet<string> = new Set([
  'truncated',
  'magic',
  'flags',
  'checksum',
  'compression',
  'cbor',
] satisfies EnvelopeErrorCode[]);

/** The sender may not send it, or cannot be verified. */
const NOT_ALLOWED: ReadonlySet<string> = new Set([
  'foreign-gateway',
  'unsigned',
  'unknown-key',
  'signature',
  'unsealed',
  'seal-key',
  'seal',
  'unproven',
]);

export class Envelopes {
  readonly #source: string;
  readonly #handler: DeliveryHandler;
  readonly #gate: IntakeGate;
  readonly #inHand = new Map<string, number>();
  #all = 0;

  constructor(source: string, handler: DeliveryHandler, gate: IntakeGate) {
    this.#source = source;
    this.#handler = handler;
    this.#gate = gate;
  }

  /** Never rejects. `gateway` is the authenticated sender. */
  async take(gateway: string, bytes: Uint8Array, sentAs: SendReason | null = null): Promise<Answer> {
    if (!this.#gate.isOpen) return behind(503, 'the ledger does not commit');
    const own = this.#inHand.get(gateway) ?? 0;
    if (own >= IN_HAND_PER_GATEWAY_MAX) return behind(429, 'too many envelopes at once');
    if (this.#all >= IN_HAND_MAX) return behind(503, 'the router is behind');
    this.#inHand.set(gateway, own + 1);
    this.#all += 1;
    try {
      return await this.#commit(gateway, bytes, sentAs);
    } finally {
      this.#all -= 1;
      const left = (this.#inHand.get(gateway) ?? 1) - 1;
      if (left > 0) this.#inHand.set(gateway, left);
      else this.#inHand.delete(gateway);
    }
  }

  async #commit(gateway: string, bytes: Uint8Array, sentAs: SendReason | null): Promise<Answer> {
    let refused: string | null = null;
    let overMs: number | null = null;
    const settlement = await this.#handler({
      source: this.#source,
      bytes,
      authenticatedGateway: gateway,
      deliveryCount: null,
      sentAs,
      onDeadLetter: (reason) => {
        refused = reason;
      },
      mayWait: (waitMs) => {
        overMs = waitMs;
        return true;
      },
    });
    if (overMs !== null)
      return behind(429, 'over its quota', Math.min(OVER_QUOTA_S_MAX, Math.ceil(overMs / 1000)));
    if (settlement !== 'settle') return behind(503, 'the ledger did not commit');
    if (refused === null) return { status: 200, body: { committed: true } };
    return { status: statusOf(refused), body: { error: 'kept aside as a dead letter', reason: refused } };
  }
}

function behind(status: 429 | 503, error: string, retryAfterS = RETRY_AFTER_S): Answer {
  return { status, body: { error }, retryAfterS };
}

/** `reason` is the reason of a dead letter. */
function statusOf(reason: string): 400 | 403 | 422 {
  if (NOT_ALLOWED.has(reason)) return 403;
  return DAMAGED.has(reason) ? 400 : 422;
}
