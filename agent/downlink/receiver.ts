/**
 * Receives receipts from all downlinks. With `accept: signed`, only a receipt that a router's key has signed
 * for this gateway counts; others are counted by reason and dropped. Of each downlink, a receipt counts when
 * it is newer than the last: a forged version shuts out no other downlink. A version far ahead of the clock
 * is implausible and dropped; where the clock was not yet synchronised, it is forgotten later.
 *
 * A stranger's cost is bounded: length, gateway and version are checked before a signature is, a signature
 * before anything is unpacked.
 */
import type { KeyObject } from 'node:crypto';
import type { Clock } from '../../shared/clock.ts';
import type { Logger } from '../../shared/log.ts';
import { RECEIPT_BYTES_MAX, type Receipt, readReceipt } from '../../shared/receipt.ts';
import { contentOf, type OpenedDocument, openDocument, verify } from '../../shared/signing/document.ts';
import { SparseLog } from '../../shared/sparse-log.ts';
import { wireJson } from '../../shared/wire-json.ts';
import type { ReceiptTracker } from './receipt-tracker.ts';

/** Why a receipt counts as from anybody. */
export type UnverifiedCause = 'unsigned' | 'unknown-key';

/** Counts of received receipts; the keys are the metric labels. */
export interface ReceiptCounts {
  applied: number;
  /** Not newer than the applied receipt of this downlink, or of any when a router signed both. */
  old: number;
  malformed: number;
  /** Of a version far ahead of the clock. */
  implausible: number;
  /** Addressed to another gateway. */
  foreign: number;
  /** Without a signature, where only signed ones count. */
  unsigned: number;
  /** Signed by a key that is not a router's. */
  'unknown-key': number;
  /** With a signature that is not the key's. */
  signature: number;
}

export type ReceiptResult = keyof ReceiptCounts;

/** Whose receipts count. */
export interface ReceiptTrust {
  accept: 'signed' | 'any';
  /** A router's key by its id; null for one that is not known. */
  keyOf(keyId: string): KeyObject | null;
}

interface Taken {
  result: ReceiptResult;
  /** Of a dropped receipt: the fields of its log line. */
  facts?: Record<string, unknown>;
}

/** A router's clock may be ahead by this much. */
const AHEAD_MS_MAX = 86_400_000;
const LOG_PERIOD_MS = 60_000;
/** Log events of dropped receipts. */
const EVENTS = {
  malformed: 'downlink.malformed',
  implausible: 'downlink.implausible',
  foreign: 'downlink.foreign',
  unsigned: 'downlink.unverified',
  'unknown-key': 'downlink.unverified',
  signature: 'downlink.unverified',
} as const;

export interface ReceiverOptions {
  gateway: string;
  tracker: Pick<ReceiptTracker, 'apply'>;
  trust: ReceiptTrust;
  /** Null while the clock is not synchronised. */
  trustedWallMs: () => number | null;
  clock: Clock;
  log: Logger;
}

export class ReceiptReceiver {
  readonly counts: ReceiptCounts = {
    applied: 0,
    old: 0,
    malformed: 0,
    implausible: 0,
    foreign: 0,
    unsigned: 0,
    'unknown-key': 0,
    signature: 0,
  };
  /** Applied receipts that nobody is known to have signed, by cause. */
  readonly unverified: Record<UnverifiedCause, number> = { unsigned: 0, 'unknown-key': 0 };
  readonly #options: ReceiverOptions;
  readonly #log: SparseLog;
  /** By downlink: the version of its newest receipt. */
  readonly #versions = new Map<string, number>();
  /**
   * The newest version with a router's signature, of all downlinks. An older one that comes another way is
   * true, and shows nothing of the router or the cloud: anybody who has read it can send it again.
   */
  #signedVersion = 0;
  /** By downlink: the receipt that was dropped last. */
  readonly #dropped = new Map<string, { body: Uint8Array; result: ReceiptResult }>();

  constructor(options: ReceiverOptions) {
    this.#options = options;
    this.#log = new SparseLog({ log: options.log, clock: options.clock, periodMs: LOG_PERIOD_MS });
  }

  get accept(): ReceiptTrust['accept'] {
    return this.#options.trust.accept;
  }

  /** Version of the downlink's newest plausible receipt, 0 before the first. */
  versionOf(downlink: string): number {
    const version = this.#versions.get(downlink) ?? 0;
    return this.#isPlausible(version) ? version : 0;
  }

  /**
   * `body`: a JSON object with the properties `signed` and `receipt`. One that was dropped before, and comes
   * again unchanged, is not counted again. Never throws.
   */
  receive(downlink: string, body: Uint8Array): ReceiptResult {
    const { result, facts } = this.#take(downlink, body);
    const last = this.#dropped.get(downlink);
    if (last?.result === result && Buffer.compare(last.body, body) === 0) return result;
    this.counts[result] += 1;
    if (result === 'applied' || body.byteLength > RECEIPT_BYTES_MAX) this.#dropped.delete(downlink);
    else this.#dropped.set(downlink, { body, result });
    if (facts && result !== 'applied' && result !== 'old') {
      const event = EVENTS[result];
      this.#log.warn(event, { downlink, ...facts }, `${event} ${downlink} ${result}`);
    }
    return result;
  }

  /**
   * Takes the receipt that the downlink dropped last once more, for carriers that do not show it again: its
   * key may be known by now, or the clock right. Null when there is none.
   */
  again(downlink: string): ReceiptResult | null {
    const last = this.#dropped.get(downlink);
    return last === undefined ? null : this.receive(downlink, last.body);
  }

  /** Counts a message that the cloud marked as another gateway's. */
  passOver(): void {
    this.counts.foreign += 1;
  }

  #take(downlink: string, body: Uint8Array): Taken {
    if (body.byteLength > RECEIPT_BYTES_MAX) return malformed(`${body.byteLength} bytes`);
    const { signed, receipt } = membersOf(body);
    const isPlainTaken = this.accept === 'any';
    if (signed === undefined) {
      if (isPlainTaken || receipt === undefined) return this.#takePlain(downlink, receipt);
      return { result: 'unsigned', facts: { reason: 'unsigned' } };
    }
    const taken = this.#takeSigned(downlink, signed);
    // A router from before signatures leaves the signed receipt of another router in its place in a shadow.
    const mayBePlain = taken.result === 'old' || taken.result === 'malformed';
    if (!isPlainTaken || receipt === undefined || !mayBePlain) return taken;
    const plain = this.#takePlain(downlink, receipt);
    return plain.result === 'applied' ? plain : taken;
  }

  #takePlain(downlink: string, json: unknown): Taken {
    const read = readReceipt(json);
    if ('problem' in read) return malformed(read.problem);
    const { receipt } = read;
    return this.#refusalOf(downlink, receipt) ?? this.#apply(downlink, receipt, 'unsigned');
  }

  #takeSigned(downlink: string, json: unknown): Taken {
    const opened = openDocument(json, 'receipt');
    if ('problem' in opened) return malformed(opened.problem);
    const { document } = opened;
    const refused = this.#refusalOf(downlink, document);
    if (refused) return refused;
    const doubt = this.#doubtOf(document);
    if (doubt === 'signature' || (doubt === 'unknown-key' && this.accept === 'signed'))
      return { result: doubt, facts: { reason: doubt, keys: document.signatures.map(({ keyId }) => keyId) } };
    const read = receiptIn(document);
    return 'problem' in read ? malformed(read.problem) : this.#apply(downlink, read.receipt, doubt);
  }

  /** Null where a router's key has signed the document. */
  #doubtOf(document: OpenedDocument): 'signature' | 'unknown-key' | null {
    const { trust } = this.#options;
    const { signedBy, isForged } = verify(document, (keyId) => trust.keyOf(keyId));
    if (signedBy.length > 0) return null;
    return isForged ? 'signature' : 'unknown-key';
  }

  /** For another gateway, of an implausible version, or old; else null. */
  #refusalOf(downlink: string, { gateway, version }: Pick<Receipt, 'gateway' | 'version'>): Taken | null {
    if (gateway !== this.#options.gateway) return { result: 'foreign', facts: { for: gateway } };
    if (!this.#isPlausible(version)) return { result: 'implausible', facts: { version } };
    return version <= this.versionOf(downlink) ? { result: 'old' } : null;
  }

  #apply(downlink: string, receipt: Receipt, doubt: UnverifiedCause | null): Taken {
    const { version } = receipt;
    if (doubt !== null) this.unverified[doubt] += 1;
    const newest = Math.max(0, ...[...this.#versions.keys()].map((name) => this.versionOf(name)));
    this.#versions.set(downlink, version);
    this.#options.tracker.apply(receipt, version > newest);
    if (doubt !== null) return { result: 'applied' };
    const isRepeated = version <= this.#signedVersion && this.#isPlausible(this.#signedVersion);
    if (!isRepeated) this.#signedVersion = version;
    return { result: isRepeated ? 'old' : 'applied' };
  }

  /** Versions are the router's wall clock, in milliseconds. */
  #isPlausible(version: number): boolean {
    const wallMs = this.#options.trustedWallMs();
    return wallMs === null || version <= wallMs + AHEAD_MS_MAX;
  }
}

function malformed(problem: string): Taken {
  return { result: 'malformed', facts: { problem } };
}

/** The receipt in a verified document, which must say the same of gateway and version. */
function receiptIn(document: OpenedDocument): ReturnType<typeof readReceipt> {
  const content = contentOf(document, RECEIPT_BYTES_MAX);
  if (content === null) return { problem: 'the content cannot be unpacked' };
  const read = readReceipt(wireJson(content, RECEIPT_BYTES_MAX));
  if ('problem' in read) return read;
  const { gateway, version } = read.receipt;
  const isSame = gateway === document.gateway && version === document.version;
  return isSame ? read : { problem: 'gateway or version differ from the signed head' };
}

/** Null counts as absent. */
function membersOf(body: Uint8Array): { signed: unknown; receipt: unknown } {
  const json = wireJson(body, RECEIPT_BYTES_MAX);
  if (typeof json !== 'object' || json === null) return { signed: undefined, receipt: undefined };
  return {
    signed: Reflect.get(json, 'signed') ?? undefined,
    receipt: Reflect.get(json, 'receipt') ?? undefined,
  };
}
