/**
 * Decodes messages for the ingest. Messages of one lane are handed on in the order in which they came; a lane
 * is a source and the gateway that the source authenticated.
 */
import type { Clock } from '../../shared/clock.ts';
import { decodeColumns } from '../../shared/envelope/codec.ts';
import { type EnvelopeColumns, envelopeOf } from '../../shared/envelope/columns.ts';
import type { Envelope } from '../../shared/envelope/envelope.ts';
import { EnvelopeError } from '../../shared/envelope/error.ts';
import { ENVELOPE_LIMITS, type EnvelopeLimits } from '../../shared/envelope/limits.ts';
import { errorText } from '../../shared/log.ts';
import { openerWith } from '../../shared/sealing/content.ts';
import { DecodeMeter } from './decode-meter.ts';
import { MESSAGE_BYTES_MAX, type Refusal } from './refusal.ts';

export interface Message {
  lane: string;
  bytes: Uint8Array;
  /** The authenticated gateway, which answers for the time; null when the source does not report it. */
  gateway: string | null;
  /** Opens a sealed envelope; absent: none is opened. */
  contentKey?: Uint8Array | null;
}

/** `later`: not decoded now; leave the message for redelivery. */
export type Decoded = Envelope | Refusal | 'later';

export interface Decoder {
  /** Resolves with the result of `use`, which gets the messages of a lane in their order. */
  decode<Result>(message: Message, use: (decoded: Decoded) => Promise<Result>): Promise<Result>;
  /** Resolves when no message is in hand; those that wait for a thread are left for `later`. */
  drain(): Promise<void>;
}

/** Never throws (I9). */
export function decodeMessage(
  bytes: Uint8Array,
  limits: EnvelopeLimits,
  contentKey: Uint8Array | null = null,
): EnvelopeColumns | Refusal {
  if (bytes.byteLength > MESSAGE_BYTES_MAX) return { reason: 'limit', detail: `${bytes.byteLength} bytes` };
  try {
    const columns = decodeColumns(bytes, limits, contentKey && openerWith(contentKey));
    return hasNul(columns) ? { reason: 'nul', detail: 'a name or topic holds U+0000' } : columns;
  } catch (error) {
    return { reason: error instanceof EnvelopeError ? error.code : 'internal', detail: errorText(error) };
  }
}

/**
 * MQTT forbids U+0000 in texts (3.1.1, 1.5.3), and PostgreSQL cannot store it: such an envelope would be
 * redelivered for ever.
 */
function hasNul({ head, devices, topics }: EnvelopeColumns): boolean {
  return [head.clock.bootId, ...devices, ...topics].some((text) => text.includes('\0'));
}

export interface InlineOptions {
  clock: Clock;
  limits?: EnvelopeLimits;
  meter?: DecodeMeter;
}

/** Decodes at once, on the caller's loop: for simulation, for commands, and for small envelopes. */
export class InlineDecoder implements Decoder {
  readonly #clock: Clock;
  readonly #limits: EnvelopeLimits;
  readonly #meter: DecodeMeter;

  constructor({ clock, limits = ENVELOPE_LIMITS, meter = new DecodeMeter() }: InlineOptions) {
    this.#clock = clock;
    this.#limits = limits;
    this.#meter = meter;
  }

  decode<Result>(message: Message, use: (decoded: Decoded) => Promise<Result>): Promise<Result> {
    return use(this.decoded(message));
  }

  decoded({ bytes, gateway, contentKey }: Message): Envelope | Refusal {
    const startedMs = this.#clock.monoMs();
    const columns = decodeMessage(bytes, this.#limits, contentKey);
    const decoded = 'reason' in columns ? columns : envelopeOf(columns);
    const counted = gateway ?? ('reason' in decoded ? null : decoded.gateway);
    this.#meter.count('loop', counted, { ms: this.#clock.monoMs() - startedMs, bytes: bytes.length });
    return decoded;
  }

  drain(): Promise<void> {
    return Promise.resolve();
  }
}
