/** Looks for erased records where a thief of the disk would: in the bytes of the files. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Ledger } from '../../../router/ledger/ledger.ts';
import type { LedgerEntry } from '../../../router/ledger/types.ts';
import { entry, seqs } from './envelopes.ts';

/** The device to erase, every third record's. */
export const DEVICE = 'device-0';
const ROUNDS = 30;
const PER_ROUND = 60;
const TRACE_BYTES = 16;
const HOUR_MS = 3_600_000;

/** The first bytes of payloads that are to be erased; no compression shortens them. */
export type Traces = readonly Buffer[];

/**
 * Payloads of many sizes, so that pages fill, split and are used again; some records come in two versions.
 * Each round is received in an hour of its own.
 */
export async function fillWithTraces(ledger: Ledger): Promise<Traces> {
  const traces: Buffer[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const bytes = 40 + ((round * 137) % 900);
    const of = seqs(1 + round * PER_ROUND, (round + 1) * PER_ROUND);
    await ledger.commit([traced(traces, of, bytes, round * HOUR_MS)]);
  }
  for (let round = 0; round < ROUNDS; round += 3) {
    const of = seqs(1 + round * PER_ROUND, 9 + round * PER_ROUND);
    await ledger.commit([traced(traces, of, 2500, round * HOUR_MS)]);
  }
  return traces;
}

function traced(traces: Buffer[], of: number[], bytes: number, wallMs: number): LedgerEntry {
  const made = entry({ seqs: of }, 'aws', wallMs);
  made.envelope.records = made.envelope.records.map((record) => {
    const payload = createHash('shake256', { outputLength: bytes }).update(`${record.seq} ${bytes}`).digest();
    if (record.device === DEVICE) traces.push(payload.subarray(0, TRACE_BYTES));
    return { ...record, payload };
  });
  return made;
}

/** How many of the traces are in the files of `folder`, and below it. */
export function tracesIn(folder: string, traces: Traces): number {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((item) => item.isFile())
    .map((item) => readFileSync(join(item.parentPath, item.name)));
  return traces.filter((trace) => files.some((bytes) => bytes.includes(trace))).length;
}
