/**
 * Receives receipts from all downlinks. The newest version wins; malformed receipts are counted and dropped.
 */
import type { Logger } from '../../shared/log.ts';
import { RECEIPT_BYTES_MAX, readReceipt } from '../../shared/receipt.ts';
import type { ReceiptTracker } from './receipt-tracker.ts';

/** Counts of received receipts; the keys are the metric labels. */
export interface ReceiptCounts {
  applied: number;
  /** Not newer than the applied receipt. */
  old: number;
  malformed: number;
  /** Addressed to another gateway, by the cloud's metadata. */
  foreign: number;
}

export class ReceiptReceiver {
  readonly counts: ReceiptCounts = { applied: 0, old: 0, malformed: 0, foreign: 0 };
  readonly #gateway: string;
  readonly #tracker: Pick<ReceiptTracker, 'apply'>;
  readonly #log: Logger;
  /** Downlinks whose last receipt was malformed: only the first in a row is logged (I10). */
  readonly #malformed = new Set<string>();
  #version = 0;

  constructor(options: { gateway: string; tracker: Pick<ReceiptTracker, 'apply'>; log: Logger }) {
    this.#gateway = options.gateway;
    this.#tracker = options.tracker;
    this.#log = options.log;
  }

  /** Version of the newest receipt, 0 before the first. */
  get version(): number {
    return this.#version;
  }

  /** `body`: a JSON object with the property `receipt`. Never throws. */
  receive(downlink: string, body: Uint8Array): keyof ReceiptCounts {
    const result = this.#take(downlink, body);
    this.counts[result] += 1;
    if (result !== 'malformed') this.#malformed.delete(downlink);
    return result;
  }

  /** Counts a message that the cloud marked as another gateway's. */
  passOver(): void {
    this.counts.foreign += 1;
  }

  #take(downlink: string, body: Uint8Array): keyof ReceiptCounts {
    const read = this.#read(body);
    if ('problem' in read) {
      if (!this.#malformed.has(downlink))
        this.#log.warn({ event: 'downlink.malformed', downlink, problem: read.problem });
      this.#malformed.add(downlink);
      return 'malformed';
    }
    const { receipt } = read;
    if (receipt.version <= this.#version) return 'old';
    this.#version = receipt.version;
    this.#tracker.apply(receipt);
    return 'applied';
  }

  #read(body: Uint8Array): ReturnType<typeof readReceipt> {
    if (body.byteLength > RECEIPT_BYTES_MAX) return { problem: `${body.byteLength} bytes` };
    const read = readReceipt(member(body));
    if ('receipt' in read && read.receipt.gateway !== this.#gateway)
      return { problem: `for the gateway ${read.receipt.gateway}` };
    return read;
  }
}

function member(body: Uint8Array): unknown {
  try {
    const json: unknown = JSON.parse(Buffer.from(body).toString());
    return typeof json === 'object' && json !== null ? Reflect.get(json, 'receipt') : undefined;
  } catch {
    return undefined; // Not JSON, so not a receipt.
  }
}
