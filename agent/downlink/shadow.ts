/**
 * Receipts through AWS: the desired state of a named shadow, polled. The shadow keeps the newest receipt, so
 * an offline gateway loses none. An unchanged document is no news.
 */
import { z } from 'zod';
import { openShadows, type ShadowConnection } from '../../shared/aws-shadow.ts';
import type { Clock } from '../../shared/clock.ts';
import { errorText } from '../../shared/log.ts';
import { RECEIPT_BYTES_MAX } from '../../shared/receipt.ts';
import { timeLimit } from '../../shared/time-limit.ts';
import { wireJson } from '../../shared/wire-json.ts';
import { outcomeOf } from '../providers/aws/outcome.ts';
import type { ReceiptQuestion } from './downlink.ts';
import type { AwsDownlinkConfig } from './options.ts';
import type { ReceiptTracker } from './receipt-tracker.ts';
import type { ReceiptReceiver } from './receiver.ts';
import { TwoSlots } from './two-slots.ts';

const ASK_MS = 10_000;
/** Of the whole document: a state of at most 30 KB (AWS, "IoT Device Shadow quotas"), and metadata. */
const DOCUMENT_BYTES_MAX = 4 * RECEIPT_BYTES_MAX;

/** "Device Shadow service documents": `version` counts the updates of the document. */
const shadowDocument = z.object({
  version: z.number(),
  state: z.object({ desired: z.unknown().optional() }),
});

export interface ShadowQuestionOptions {
  config: AwsDownlinkConfig;
  gateway: string;
  receiver: ReceiptReceiver;
  tracker: Pick<ReceiptTracker, 'onCloudReceipt'>;
  clock: Clock;
}

export class ShadowQuestion implements ReceiptQuestion {
  readonly spacingMs: number;
  readonly #options: ShadowQuestionOptions;
  readonly #slots: TwoSlots<AwsDownlinkConfig>;
  readonly #closing = new AbortController();
  #connection: ShadowConnection | null = null;
  /** Version of the last document whose receipt was applied. */
  #seenVersion: number | null = null;

  constructor(options: ShadowQuestionOptions) {
    this.#options = options;
    this.#slots = new TwoSlots(options.config);
    this.spacingMs = options.config.interval;
  }

  async ask(): Promise<string | null> {
    try {
      this.#connection ??= await openShadows(this.#slots.current, 1, this.#options.clock);
    } catch (error) {
      return errorText(error);
    }
    const { client } = this.#connection;
    const offsetMs = client.config.systemClockOffset;
    const limit = timeLimit(this.#options.clock, ASK_MS, this.#closing.signal);
    let payload: Uint8Array;
    try {
      // The signal alone is no time limit: the SDK ignores it while it waits for its credentials.
      payload = await Promise.race([this.#get(this.#connection, limit.signal), endOf(limit.signal)]);
    } catch (error) {
      return this.#problem(error, client.config.systemClockOffset - offsetMs);
    } finally {
      limit.end();
    }
    this.#take(payload);
    return null;
  }

  close(): void {
    this.#closing.abort();
    this.#connection?.client.destroy();
  }

  async #get({ sdk, client }: ShadowConnection, abortSignal: AbortSignal): Promise<Uint8Array> {
    const { gateway: thingName, config } = this.#options;
    const command = new sdk.GetThingShadowCommand({ thingName, shadowName: config.shadow });
    const { payload } = await client.send(command, { abortSignal });
    return payload ?? new Uint8Array();
  }

  #take(payload: Uint8Array): void {
    const { receiver, tracker, config } = this.#options;
    const { version, body } = readShadow(payload);
    if (version !== null && version === this.#seenVersion) return;
    const isApplied = receiver.receive(config.name, body) === 'applied';
    // A dropped receipt is looked at again: its key may be known by then, or the clock right.
    this.#seenVersion = isApplied ? version : null;
    if (isApplied) tracker.onCloudReceipt();
  }

  /** Null where there is no shadow yet, which is not a problem. */
  #problem(error: unknown, clockMovedMs: number): string | null {
    const outcome = outcomeOf(error, clockMovedMs);
    const cause = 'cause' in outcome ? outcome.cause : null;
    if (cause === 'not-found') return null;
    if (cause === 'unauthorized') this.#slots.refused();
    // No answer at all: the SDK was seen with its sockets stuck after days (aws-sdk-js-v3#7835).
    if (cause === 'unauthorized' || outcome.kind === 'unknown') {
      this.#connection?.client.destroy();
      this.#connection = null;
    }
    return 'detail' in outcome ? outcome.detail : outcome.kind;
  }
}

/** The document's version, null where it has none, and the receiver's part of it. */
export function readShadow(payload: Uint8Array): { version: number | null; body: Uint8Array } {
  // Too long for a receipt too: the receiver drops it unread.
  if (payload.byteLength > DOCUMENT_BYTES_MAX) return { version: null, body: payload };
  const { data } = shadowDocument.safeParse(wireJson(payload, DOCUMENT_BYTES_MAX));
  const body = Buffer.from(JSON.stringify(data?.state.desired ?? null));
  return { version: data?.version ?? null, body };
}

/** Rejects when `signal` aborts. */
function endOf(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(new Error(`no answer within ${ASK_MS} ms`)), {
      once: true,
    });
  });
}
