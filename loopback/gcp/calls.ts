/** The checks of every call: caller, listener, credentials; and the gRPC status of a refusal. */
import { type handleUnaryCall, Metadata, status } from '@grpc/grpc-js';
import type { Clock } from '../../shared/clock.ts';
import { errorText } from '../../shared/log.ts';
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

  constructor(code: status, details: string) {
    super(details);
    this.code = code;
  }
}

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
  clock: Clock;
}): Gate {
  return async (call) => {
    const peer = call.getPeer();
    const front = [options.ingest, options.subscribe].find((each) => each.carries(peer));
    const authorization = String(call.metadata.get('authorization')[0] ?? '');
    const { account, clock } = options;
    const [, service = ''] = call.getPath().split('/');
    if (!front || (account && !(await isAuthorised(account, authorization, service, clock)))) {
      throw new Refusal(status.UNAUTHENTICATED, 'Request had invalid authentication credentials.');
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
  const code = error instanceof Refusal ? error.code : status.INTERNAL;
  return { code, details: errorText(error), metadata: new Metadata() };
}
