/**
 * Receives receipts from all downlinks; malformed ones are counted and dropped. Of each downlink, a receipt
 * counts when it is newer than the last: a forged version shuts out no other downlink. A version far ahead of
 * the clock is implausible and dropped; where the clock was not yet synchronised, it is forgotten later.
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
  /** Of a version far ahead of the clock. */
  implausible: number;
  /** Addressed to another gateway, by the cloud's metadata. */
  foreign: number;
}

/** A router's clock may be ahead by this much. */
const AHEAD_MS_MAX = 86_400_000;

export class ReceiptReceiver {
  readonly counts: ReceiptCounts = { applied: 0, old: 0, malformed: 0, implausible: 0, foreign: 0 };
  readonly #gateway: string;
  readonly #tracker: Pick<ReceiptTracker, 'apply'>;
  readonly #log: Logger;
  readonly #trustedWallMs: () => number | null;
  /** Downlinks whose last receipt was dropped: only the first in a row is logged (I10). */
  readonly #dropped = new Set<string>();
  /** By downlink: the version of its newest receipt. */
  readonly #versions = new Map<string, number>();

  /** `trustedWallMs`: null while the clock is not synchronised. */
  constructor(options: {
    gateway: string;
    tracker: Pick<ReceiptTracker, 'apply'>;
    trustedWallMs: () => number | null;
    log: Logger;
  }) {
    this.#gateway = options.gateway;
    this.#tracker = options.tracker;
    this.#trustedWallMs = options.trustedWallMs;
    this.#log = options.log;
  }

  /** Version of the downlink's newest plausible receipt, 0 before the first. */
  versionOf(downlink: string): number {
    const version = this.#versions.get(downlink) ?? 0;
    return this.#isPlausible(version) ? version : 0;
  }

  /** `body`: a JSON object with the property `receipt`. Never throws. */
  receive(downlink: string, body: Uint8Array): keyof ReceiptCounts {
    const result = this.#take(downlink, body);
    this.counts[result] += 1;
    if (result === 'applied' || result === 'old') this.#dropped.delete(downlink);
    return result;
  }

  /** Counts a message that the cloud marked as another gateway's. */
  passOver(): void {
    this.counts.foreign += 1;
  }

  #take(downlink: string, body: Uint8Array): keyof ReceiptCounts {
    const read = this.#read(body);
    if ('problem' in read) {
      this.#drop(downlink, { event: 'downlink.malformed', downlink, problem: read.problem });
      return 'malformed';
    }
    const { receipt } = read;
    const { version } = receipt;
    if (!this.#isPlausible(version)) {
      this.#drop(downlink, { event: 'downlink.implausible', downlink, version });
      return 'implausible';
    }
    if (version <= this.versionOf(downlink)) return 'old';
    const newest = Math.max(0, ...[...this.#versions.keys()].map((name) => this.versionOf(name)));
    this.#versions.set(downlink, version);
    this.#tracker.apply(receipt, version > newest);
    return 'applied';
  }

  #drop(downlink: string, line: Readonly<Record<string, unknown>>): void {
    if (!this.#dropped.has(downlink)) this.#log.warn(line);
    this.#dropped.add(downlink);
  }

  /** Versions are the router's wall clock, in milliseconds. */
  #isPlausible(version: number): boolean {
    const wallMs = this.#trustedWallMs();
    return wallMs === null || version <= wallMs + AHEAD_MS_MAX;
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
