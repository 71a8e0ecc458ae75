/** The messages between the router's loop and a decode thread (decode-thread.ts, decode-worker.ts). */
import type { EnvelopeColumns } from '../../shared/envelope/columns.ts';
import type { EnvelopeLimits } from '../../shared/envelope/limits.ts';
import type { Refusal } from './refusal.ts';

export interface DecodeRequest {
  bytes: Uint8Array;
  limits: EnvelopeLimits;
  /** Of a sealed envelope. */
  contentKey: Uint8Array | null;
}

export interface DecodeAnswer {
  kind: 'answer';
  decoded: EnvelopeColumns | Refusal;
  /** The time that the decoding took. */
  ms: number;
}

export type DecodeReply = { kind: 'ready' } | DecodeAnswer;
