/**
 * The content of one commit: all records and operations that arrived during the previous commit. Payloads are
 * copied at once, because a publish's payload is a view into a socket's buffer. Words that many records share
 * are stored once.
 */
import { type CommitResult, NUMBERS_PER_RECORD, type Operation, type RecordColumns } from './protocol.ts';
import type { NewRecord, Settled, StoreError } from './types.ts';

const PAYLOAD_BYTES_MIN = 4096;
const RECORDS_MIN = 32;
/** Bound on the initial room of a batch, which is the size of the previous one: growing copies. */
const ROOM_BYTES_MAX = 2 ** 20;
const room = { payloadBytes: PAYLOAD_BYTES_MIN, records: RECORDS_MIN };

interface OperationWaiter {
  resolve: () => void;
  reject: (error: StoreError) => void;
}

/** Records of one stream in a held batch: acknowledged and not on disk. */
export interface HeldRecords {
  records: number;
  sinceMs: number;
}

export class Batch {
  /**
   * By stream: records that are acknowledged already and only have to be written in time; null when the
   * senders wait for the commit.
   */
  readonly held: Map<string, HeldRecords> | null;
  readonly #streams = new Map<string, number>();
  readonly #devices = new Map<string, number>();
  readonly #topics = new Map<string, number>();
  #numbers = new Float64Array(room.records * NUMBERS_PER_RECORD);
  #count = 0;
  #payloads = new Uint8Array(room.payloadBytes);
  #payloadBytes = 0;
  #size = 0;
  #operations: Operation[] = [];
  readonly #alongside: Operation[] = [];
  readonly #waiters: Settled[] = [];
  /** For each waiter, the index of its stream. */
  readonly #waiterStreams: number[] = [];
  #operationWaiters: OperationWaiter[] = [];

  constructor(kind: 'awaited' | 'held') {
    this.held = kind === 'held' ? new Map() : null;
  }

  /** Sum of the sizes of its records. */
  get size(): number {
    return this.#size;
  }

  /** The operations, including those that accompany records. */
  get operations(): Operation[] {
    return [...this.#operations, ...this.#alongside];
  }

  /**
   * Adds a record. `settled` is called when the commit is on disk or has failed. `alongside` is applied if
   * and only if the record is stored.
   */
  append(record: NewRecord, size: number, alongside: Operation | null, settled: Settled): void {
    const stream = this.#add(record, size);
    if (alongside) this.#alongside.push(alongside);
    this.#waiters.push(settled);
    this.#waiterStreams.push(stream);
  }

  /** Adds a record that is acknowledged now. */
  hold(record: NewRecord, size: number, nowMs: number, alongside: Operation | null): void {
    this.#add(record, size);
    if (alongside) this.#alongside.push(alongside);
    const held = this.held?.get(record.stream);
    if (held) held.records += 1;
    else this.held?.set(record.stream, { records: 1, sinceMs: nowMs });
  }

  /** Returns the index of the record's stream. */
  #add(record: NewRecord, size: number): number {
    this.#size += size;
    const stream = indexOf(this.#streams, record.stream);
    let at = this.#count * NUMBERS_PER_RECORD;
    if (at === this.#numbers.length) {
      const grown = new Float64Array(at * 2);
      grown.set(this.#numbers);
      this.#numbers = grown;
    }
    this.#numbers[at++] = stream;
    this.#numbers[at++] = indexOf(this.#devices, record.device);
    this.#numbers[at++] = indexOf(this.#topics, record.topic);
    this.#numbers[at++] = record.monoMs;
    this.#numbers[at] = record.payload.byteLength;
    this.#count += 1;
    this.#copyPayload(record.payload);
    return stream;
  }

  operate(operation: Operation): Promise<void> {
    const last = this.#operations.pop();
    if (last) this.#operations.push(...joined(last, operation));
    else this.#operations.push(operation);
    return new Promise((resolve, reject) => {
      this.#operationWaiters.push({ resolve, reject });
    });
  }

  /** The records. When their buffers are transferred, the batch takes no further records. */
  columns(): RecordColumns {
    room.payloadBytes = Math.max(PAYLOAD_BYTES_MIN, Math.min(this.#payloadBytes, ROOM_BYTES_MAX));
    room.records = Math.max(RECORDS_MIN, this.#count);
    return {
      count: this.#count,
      streams: [...this.#streams.keys()],
      devices: [...this.#devices.keys()],
      topics: [...this.#topics.keys()],
      numbers: this.#numbers,
      payloads: this.#payloads,
    };
  }

  /** The commit is on disk: every append gets its seq (I1). */
  settle({ appended }: CommitResult): void {
    const next = [...this.#streams.keys()].map(
      (name) => appended.find(({ stream }) => stream === name)?.first ?? 0,
    );
    this.#waiters.forEach((settled, i) => {
      const stream = this.#waiterStreams[i] ?? 0;
      const seq = next[stream] ?? 0;
      next[stream] = seq + 1;
      settled(null, seq);
    });
    for (const { resolve } of this.#operationWaiters) resolve();
  }

  /**
   * The commit failed. Operations are moved to `next` for another try; awaited records are refused, and their
   * senders repeat them.
   */
  rejectRecords(error: StoreError, next: Batch): void {
    for (const settled of this.#waiters) settled(error, 0);
    next.#operations.push(...this.#operations);
    next.#operationWaiters.push(...this.#operationWaiters);
    this.#operations = [];
    this.#operationWaiters = [];
  }

  rejectOperations(error: StoreError): void {
    for (const { reject } of this.#operationWaiters) reject(error);
  }

  #copyPayload(payload: Uint8Array): void {
    const needed = this.#payloadBytes + payload.byteLength;
    if (needed > this.#payloads.byteLength) {
      const grown = new Uint8Array(Math.max(needed, this.#payloads.byteLength * 2));
      grown.set(this.#payloads.subarray(0, this.#payloadBytes));
      this.#payloads = grown;
    }
    this.#payloads.set(payload, this.#payloadBytes);
    this.#payloadBytes = needed;
  }
}

/** Joins two acceptances of adjacent rows into one, because each deletion has a fixed cost. */
function joined(before: Operation, next: Operation): Operation[] {
  const isOne =
    before.kind === 'accept' &&
    next.kind === 'accept' &&
    before.last + 1 === next.first &&
    before.epoch === next.epoch &&
    before.stream === next.stream &&
    before.provider === next.provider &&
    before.copies === next.copies &&
    before.untilReceipt === next.untilReceipt;
  return isOne ? [{ ...before, last: next.last }] : [before, next];
}

function indexOf(words: Map<string, number>, word: string): number {
  const known = words.get(word);
  if (known !== undefined) return known;
  words.set(word, words.size);
  return words.size - 1;
}
