/** Real stores on real files for the tests of this folder. */
import { join } from 'node:path';
import { Batch } from '../../../agent/store/batch.ts';
import type { DiskState } from '../../../agent/store/disk-state.ts';
import type { StoreLimits } from '../../../agent/store/limits.ts';
import type { RecordColumns } from '../../../agent/store/protocol.ts';
import { Store } from '../../../agent/store/store.ts';
import type { NewRecord, StoreOptions } from '../../../agent/store/types.ts';
import { systemClock } from '../../../shared/clock.ts';
import { systemEntropy } from '../../../shared/entropy.ts';
import { createLogger } from '../../../shared/log.ts';
import { until } from '../../until.ts';

export type LogLine = Record<string, unknown>;

export function bufferFile(directory: string): string {
  return join(directory, 'buffer.db');
}

export function storeOn(
  file: string,
  options: Partial<StoreOptions> = {},
): { store: Store; lines: LogLine[] } {
  const lines: LogLine[] = [];
  const log = createLogger({ level: 'debug', levels: {} }, { write: (line) => lines.push(JSON.parse(line)) });
  const store = new Store({
    file,
    bootId: 'boot-1',
    clock: systemClock,
    entropy: systemEntropy,
    log,
    ...options,
  });
  return { store, lines };
}

export function record(text: string, stream = 'telemetry'): NewRecord {
  return { stream, device: 'dev-1', topic: 'plant/dev-1/temp', payload: Buffer.from(text), monoMs: 12.5 };
}

/** Records in the form that a commit takes. */
export function columnsOf(records: readonly NewRecord[]): RecordColumns {
  const batch = new Batch('held');
  for (const record of records) batch.hold(record, 0, 0, null);
  return batch.columns();
}

/** One bound for all; records above it are refused. */
export function refusingAt(maxBytes: number, streams: readonly string[] = ['telemetry']): StoreLimits {
  const limits = {
    durability: { kind: 'fsync' },
    priority: 5,
    maxBytes: null,
    maxAgeMs: null,
    whenFull: 'reject',
  } as const;
  return { maxBytes, streams: Object.fromEntries(streams.map((stream) => [stream, limits])) };
}

/** Appends records with these payloads, all at once; returns their seqs. */
export async function appendAll(
  store: Store,
  texts: readonly string[],
  stream = 'telemetry',
): Promise<number[]> {
  const appended = await Promise.all(texts.map((text) => store.append(record(text, stream))));
  return appended.map(({ seq }) => seq);
}

/** Text that does not shrink by much, so that a file grows by it. */
export function noise(chars: number): string {
  return Buffer.from(systemEntropy.bytes(Math.ceil((chars * 3) / 4))).toString('base64');
}

/** `p1 … pN`. */
export function texts(count: number, from = 1): string[] {
  return Array.from({ length: count }, (_, i) => `p${from + i}`);
}

/** Resolves when the file is open, which is tried again ever more slowly. */
export async function untilOpen(store: Store): Promise<void> {
  await until('the file is open', () => store.isOpen);
}

export async function untilState(store: Store, state: DiskState): Promise<void> {
  await until(`the store is ${state}`, () => store.state() === state);
}

/** Payloads, as text, of all that is in the buffer of one (epoch, stream), by seq. */
export async function contents(
  store: Store,
  epoch: string,
  stream = 'telemetry',
): Promise<Map<number, string>> {
  const found = new Map<number, string>();
  const last = Number.MAX_SAFE_INTEGER;
  for (let next = 1; ; ) {
    const records = await store.read(epoch, stream, next, last, 1 << 20);
    for (const { seq, payload } of records) found.set(seq, Buffer.from(payload).toString());
    const end = records.at(-1);
    if (!end) return found;
    next = end.seq + 1;
  }
}
