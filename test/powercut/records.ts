/**
 * The workload's records: all of one follows from its number, so that a row tells which record it should be.
 */
import { createHash } from 'node:crypto';
import type { NewRecord } from '../../agent/store/types.ts';

export const STREAMS = ['telemetry', 'alarms'] as const;

/** A life has this many numbers to itself. The second half are large records. */
export const NUMBERS_PER_LIFE = 1_000_000;
export const FIRST_LARGE = NUMBERS_PER_LIFE / 2;

export function recordOf(number: number): NewRecord {
  // Knuth's multiplicative hash: neighbours differ in size.
  const spread = Math.imul(number, 0x9e3779b1) >>> 16;
  const large = number % NUMBERS_PER_LIFE >= FIRST_LARGE || spread % 16 === 0;
  const bytes = large ? 1000 + (spread % 14_000) : 20 + (spread % 400);
  return {
    stream: STREAMS[spread % 5 === 0 ? 1 : 0] ?? 'telemetry',
    device: `pump-${spread % 20}`,
    topic: `plant/line-${spread % 3}/pump-${spread % 20}`,
    payload: content(number, bytes),
    monoMs: number,
  };
}

/** Begins with the number; the rest does not shrink, so that the file grows by it. */
function content(number: number, bytes: number): Buffer {
  const noise = createHash('shake256', { outputLength: bytes }).update(String(number)).digest();
  const head = Buffer.from(`${number}.`);
  head.copy(noise, 0, 0, Math.min(head.length, bytes));
  return noise;
}

/** The number of the record that a payload is, if it is one. */
export function numberOf(payload: Uint8Array): number {
  return Number.parseInt(Buffer.from(payload.subarray(0, 16)).toString('latin1'), 10);
}
