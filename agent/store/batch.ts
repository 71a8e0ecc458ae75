/**
 * What one commit will hold: everything that arrived while the thread was busy with the one before. Payloads are copied
 * in at once, because a publish's payload is a view into a socket's buffer.
 */
import type { CommitResult, Operation, RecordColumns } from './protocol.ts';
import type { Appended, NewRecord, StoreError } from './types.ts';

const FIRST_PAYLOAD_BYTES = 4096;

interface AppendWaiter {
  resolve: (appended: Appended) => void;
  reject: (error: StoreError) => void;
}

interface OperationWaiter {
  resolve: () => void;
  reject: (error: StoreError) => void;
}

export class Batch {
  readonly #streams: string[] = [];
  readonly #devices: string[] = [];
  readonly #topics: string[] = [];
  readonly #monoMs: number[] = [];
  readonly #lengths: number[] = [];
  #payloads = new Uint8Array(FIRST_PAYLOAD_BYTES);
  #payloadBytes = 0;
  #size = 0;
  #operations: Operation[] = [];
  readonly #appendWaiters: AppendWaiter[] = [];
  #operationWaiters: OperationWaiter[] = [];

  /** Sum of the sizes that its records were given. */
  get size(): number {
    return this.#size;
  }

  get operations(): readonly Operation[] {
    return this.#operations;
  }

  append(record: NewRecord, size: number): Promise<Appended> {
    this.#size += size;
    this.#streams.push(record.stream);
    this.#devices.push(record.device);
    this.#topics.push(record.topic);
    this.#monoMs.push(record.monoMs);
    this.#lengths.push(record.payload.byteLength);
    this.#copyPayload(record.payload);
    return new Promise((resolve, reject) => {
      this.#appendWaiters.push({ resolve, reject });
    });
  }

  operate(operation: Operation): Promise<void> {
    this.#operations.push(operation);
    return new Promise((resolve, reject) => {
      this.#operationWaiters.push({ resolve, reject });
    });
  }

  /** The records, to be handed over with their buffer: the batch takes no more after this. */
  columns(): RecordColumns {
    return {
      streams: this.#streams,
      devices: this.#devices,
      topics: this.#topics,
      monoMs: this.#monoMs,
      lengths: this.#lengths,
      payloads: this.#payloads,
    };
  }

  /** The commit is on the disk: every append learns its seq (I1). */
  settle({ appended }: CommitResult): void {
    const next = new Map(appended.map(({ stream, first }) => [stream, first]));
    for (const [i, { resolve }] of this.#appendWaiters.entries()) {
      const stream = this.#streams[i] ?? '';
      const seq = next.get(stream) ?? 0;
      next.set(stream, seq + 1);
      resolve({ stream, seq });
    }
    for (const { resolve } of this.#operationWaiters) resolve();
  }

  /** The commit failed. Operations are good for another try, in `next`; records are their senders' to repeat. */
  rejectRecords(error: StoreError, next: Batch): void {
    for (const { reject } of this.#appendWaiters) reject(error);
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
