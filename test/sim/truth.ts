/**
 * The real events of a world, and the checks of the invariants against them. It learns from the models (disk,
 * clouds, ledger) and never from the code under test, so that a rule broken there shows here.
 */
import { createHash } from 'node:crypto';
import type { RepeatCause } from '../../router/ledger/types.ts';
import type { Envelope } from '../../shared/envelope/envelope.ts';
import type { SendReason } from '../../shared/envelope/send-reason.ts';
import type { TelemetryRecord } from '../../shared/record.ts';
import type { CloudName } from './plan.ts';
import type { VirtualTime } from './time.ts';

export type Invariant = `I${1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10 | 11}`;

export interface Violation {
  invariant: Invariant;
  atMs: number;
  what: string;
}

/** One publish of a device. Its number is its payload's first word. */
export interface Publication {
  number: number;
  gateway: string;
  stream: string;
  monoMs: number;
}

/** All that the world knows of one record id. */
export interface KnownRecord {
  publication: number;
  /** Clouds that really acknowledged it, also those that then dropped it. */
  readonly acknowledged: Set<CloudName>;
  /** The reasons of its copies, by the envelopes that came to a cloud. */
  readonly sentAs: Set<SendReason | null>;
  /** A cloud has it on its way to the router. */
  isForwarded: boolean;
  isInLedger: boolean;
  isGivenUp: boolean;
  /** An envelope that announced it as given up was dropped after its acknowledgement. */
  isGapDropped: boolean;
  /** It left with the state of a disk that was replaced by an older copy. */
  isRestoredAway: boolean;
}

/** Kept of each kind of violation: one is enough to fail. */
const VIOLATIONS_MAX = 5;

export class Truth {
  readonly violations: Violation[] = [];
  readonly publications = new Map<number, Publication>();
  readonly records = new Map<string, KnownRecord>();
  /** Duplicates that the ledger found, by cause. */
  readonly repeats = new Map<RepeatCause, number>();
  /** Streams whose rows stay until the ledger has them. */
  readonly untilReceipt: ReadonlySet<string>;
  readonly #time: VirtualTime;
  readonly #digest = createHash('sha256');
  readonly #epochs = new Set<string>();
  /** Publications that were durable at some time. */
  readonly #stored = new Set<number>();

  constructor(time: VirtualTime, untilReceipt: ReadonlySet<string>) {
    this.#time = time;
    this.untilReceipt = untilReceipt;
  }

  check(holds: boolean, invariant: Invariant, what: () => string): void {
    if (holds || this.violations.length >= VIOLATIONS_MAX) return;
    this.violations.push({ invariant, atMs: this.#time.nowMs, what: what() });
  }

  /** The part that all runs of a seed have in common (I11). */
  note(...facts: ReadonlyArray<string | number>): void {
    this.#digest.update(`${this.#time.nowMs} ${facts.join(' ')}\n`);
  }

  digest(): string {
    return this.#digest.digest('hex').slice(0, 16);
  }

  /** A device publishes. The payload is unlike any other. */
  publish(publication: Publication): Uint8Array {
    this.publications.set(publication.number, publication);
    return Buffer.from(`${publication.number} ${(publication.number * 2654435761) % 2 ** 32}`);
  }

  epochBegan(gateway: string, epoch: string): void {
    const key = `${gateway}/${epoch}`;
    this.check(!this.#epochs.has(key), 'I2', () => `epoch ${key} began twice`);
    this.#epochs.add(key);
  }

  /** A record became durable under an id. */
  stored(id: string, record: TelemetryRecord): void {
    const number = numberOf(record);
    const known = this.records.get(id);
    this.check(!known, 'I2', () => `${id} was given to ${known?.publication} and now to ${number}`);
    const publication = this.publications.get(number);
    this.check(
      publication !== undefined && Math.floor(publication.monoMs) === record.monoMs,
      'I7',
      () => `${id} says monotonic ${record.monoMs}, it was ${publication?.monoMs}`,
    );
    this.#stored.add(number);
    this.records.set(id, {
      publication: number,
      acknowledged: new Set(),
      sentAs: new Set(),
      isForwarded: false,
      isInLedger: false,
      isGivenUp: false,
      isGapDropped: false,
      isRestoredAway: false,
    });
  }

  /** A device got its PUBACK. */
  acknowledged(number: number): void {
    this.check(this.#stored.has(number), 'I1', () => `${number} was acknowledged before it was durable`);
  }

  /** Copies of records came to a cloud, sent for `why`. */
  sent({ gateway, epoch, stream, records }: Envelope, why: SendReason | null): void {
    for (const { seq } of records) this.records.get(`${gateway}/${epoch}/${stream}/${seq}`)?.sentAs.add(why);
  }

  /** The ledger took a record for a duplicate: what it says of why must have happened (I6). */
  repeated(id: string, cause: RepeatCause): void {
    this.repeats.set(cause, (this.repeats.get(cause) ?? 0) + 1);
    if (cause !== 'hedge' && cause !== 'failover' && cause !== 'redundant') return;
    const known = this.records.get(id);
    this.check(
      known?.sentAs.has(cause) ?? false,
      'I6',
      () => `${id} came again for ${cause}, and was not sent so`,
    );
  }

  /** A record arrived somewhere under an id: it must be the one that has it. */
  arrived(id: string, record: TelemetryRecord, where: string): KnownRecord | undefined {
    const known = this.records.get(id);
    this.check(
      known?.publication === numberOf(record),
      'I2',
      () => `${id} at ${where} is ${numberOf(record)}, not ${known?.publication}`,
    );
    return known;
  }

  /** The buffer freed a row of a stream with so many copies by the policy in force. */
  freed(id: string, stream: string, copies: number): void {
    const known = this.records.get(id);
    const held = known?.acknowledged.size ?? 0;
    this.check(held >= copies, 'I3', () => `${id} was freed with ${held} of ${copies} copies`);
    // One that was given up and is there again since an older copy was put back is covered as given up.
    const isThere = known?.isInLedger === true || known?.isGivenUp === true;
    const holds = !this.untilReceipt.has(stream) || isThere;
    this.check(holds, 'I3', () => `${id} was freed before the ledger had it`);
  }
}

function numberOf({ payload }: TelemetryRecord): number {
  return Number.parseInt(Buffer.from(payload.subarray(0, 12)).toString('latin1'), 10);
}
