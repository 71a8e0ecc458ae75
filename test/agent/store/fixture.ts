/** Real stores on real files for the tests of this folder. */
import { join } from 'node:path';
import { Store, type StoreOptions } from '../../../agent/store/store.ts';
import type { NewRecord } from '../../../agent/store/types.ts';
import { systemClock } from '../../../shared/clock.ts';
import { systemEntropy } from '../../../shared/entropy.ts';
import { createLogger } from '../../../shared/log.ts';

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

/** Appends records with these payloads, all at once; returns their seqs. */
export async function appendAll(
  store: Store,
  texts: readonly string[],
  stream = 'telemetry',
): Promise<number[]> {
  const appended = await Promise.all(texts.map((text) => store.append(record(text, stream))));
  return appended.map(({ seq }) => seq);
}

/** `p1 … pN`. */
export function texts(count: number, from = 1): string[] {
  return Array.from({ length: count }, (_, i) => `p${from + i}`);
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
