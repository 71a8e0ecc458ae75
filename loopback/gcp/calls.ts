/** The checks of every call: caller, listener, credentials; and the gRPC status of a refusal. */
import { type handleUnaryCall, Metadata, status } from '@grpc/grpc-js';
import type { Clock } from '../../shared/clock.ts';
import { errorText } from '../../shared/log.ts';
import type { Fault } from '../faults.ts';
import type { Overload } from '../overload.ts';
import type { Front } from './front.ts';
import { isAuthorised, type ServiceAccount } from './service-account.ts';

export interface Caller {
  /** The call came through the ingest listener, which has the faults. */
  ingest: boolean;
  /** Cuts the caller's connection without an answer. */
  cut(): void;
}

/** A status other than OK, in the vendor's words. */
export class Refusal extends Error {
  readonly code: status;
  readonly metadata: Metadata;

  constructor(code: status, details: string, metadata: Metadata = new Metadata()) {
    super(details);
    this.code = code;
    this.metadata = metadata;
  }
}

/** `retryAfterMs`: as google.rpc.RetryInfo among the details of the status. */
function throttled(retryAfterMs: number | null): Refusal {
  const metadata = new Metadata();
  if (retryAfterMs !== null) metadata.set('grpc-status-details-bin', retryInfo(retryAfterMs));
  return new Refusal(
    status.RESOURCE_EXHAUSTED,
    "Quota exceeded for quota metric 'Regional publisher throughput, kB' of service 'pubsub.googleapis.com'.",
    metadata,
  );
}

/** google.rpc.Status with one detail, in protobuf's wire format. */
function retryInfo(retryAfterMs: number): Buffer {
  const varint = (field: number, value: number): Buffer => Buffer.from([field << 3, value]);
  const bytes = (field: number, value: Buffer): Buffer =>
    Buffer.concat([Buffer.from([(field << 3) | 2, value.length]), value]);
  const info = bytes(1, varint(1, Math.round(retryAfterMs / 1000)));
  const type = Buffer.from('type.googleapis.com/google.rpc.RetryInfo');
  return Buffer.concat([
    varint(1, status.RESOURCE_EXHAUSTED),
    bytes(3, Buffer.concat([bytes(1, type), bytes(2, info)])),
  ]);
}

export const UNAVAILABLE = new Refusal(
  status.UNAVAILABLE,
  'The service was unable to fulfill your request. Please try again. [code=8a75]',
);

interface AnyCall {
  metadata: Metadata;
  getPeer(): string;
  /** `/google.pubsub.v1.Publisher/Publish` */
  getPath(): string;
}

/** Accepts a call, or throws a {@link Refusal}. */
export type Gate = (call: AnyCall) => Promise<Caller>;

/** Authentication is off without an account (the plaintext listener, like the emulator's). */
export function createGate(options: {
  ingest: Front;
  subscribe: Front;
  account: ServiceAccount | null;
  /** Access tokens, and the wall time of their end. */
  tokens: ReadonlyMap<string, number>;
  /** Of each side. */
  overload: { ingest: Overload; subscribe: Overload };
  fault: () => Fault | null;
  /** Called for each request of a gateway that `overload` turns away. */
  onTurnedAway: () => void;
  clock: Clock;
}): Gate {
  return async (call) => {
    const peer = call.getPeer();
    const front = [options.ingest, options.subscribe].find((each) => each.carries(peer));
    const authorization = String(call.metadata.get('authorization')[0] ?? '');
    const { account, clock } = options;
    const [, service = ''] = call.getPath().split('/');
    const isKnown =
      !account ||
      (options.tokens.get(authorization.replace('Bearer ', '')) ?? 0) > clock.wallMs() ||
      (await isAuthorised(account, authorization, service, clock));
    if (!front || !isKnown) {
      throw new Refusal(status.UNAUTHENTICATED, 'Request had invalid authentication credentials.');
    }
    const overload = front === options.ingest ? options.overload.ingest : options.overload.subscribe;
    const treatment = overload.next(/Acknowledge$|ModifyAckDeadline$/.test(call.getPath()));
    if (treatment === 'late') await overload.wait();
    if (treatment === 'throttled' || treatment === 'unavailable') {
      if (front === options.ingest) options.onTurnedAway();
      throw treatment === 'throttled' ? throttled(options.fault()?.retryAfterMs ?? null) : UNAVAILABLE;
    }
    return { ingest: front === options.ingest, cut: () => front.cut(peer) };
  };
}

/** A unary method: `handle` returns the answer, or null for none; a {@link Refusal} becomes its status. */
export function unary<Request, Response>(
  gate: Gate,
  handle: (request: Request, caller: Caller) => Response | null,
): handleUnaryCall<Request, Response> {
  return (call, callback) => {
    gate(call)
      .then((caller) => handle(call.request, caller))
      .then(
        (response) => {
          if (response !== null) callback(null, response);
        },
        (error: unknown) => callback(asStatus(error)),
      );
  };
}

export function asStatus(error: unknown): { code: status; details: string; metadata: Metadata } {
  const { code, metadata } =
    error instanceof Refusal ? error : { code: status.INTERNAL, metadata: new Metadata() };
  return { code, details: errorText(error), metadata };
}
