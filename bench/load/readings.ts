/**
 * Readings as a pump's controller would publish them: time, state, and four sensors with noise in all their
 * digits.
 */
import type { Entropy } from '../../shared/entropy.ts';
import type { TelemetryRecord } from '../../shared/record.ts';

const DEVICES = 20;
/** Readings arrive at random times within this many milliseconds. */
const SPREAD_MS = 25;

/** About 104 bytes of JSON. */
export function readingOf(seq: number, nowMs: number, entropy: Entropy): TelemetryRecord {
  const device = `pump-${String(seq % DEVICES).padStart(2, '0')}`;
  const between = (low: number, high: number, digits: number): number =>
    Math.round((low + entropy.float() * (high - low)) * 10 ** digits) / 10 ** digits;
  const reading = {
    device,
    ts: 1_790_000_005_000 + nowMs + Math.floor(entropy.float() * SPREAD_MS),
    bar: between(3.8, 4.6, 2),
    temp: between(58, 66, 1),
    rpm: between(1440, 1460, 0),
    amps: between(11, 14, 2),
    state: entropy.float() < 0.95 ? 'running' : 'idle',
  };
  return {
    seq,
    monoMs: nowMs + Math.floor(entropy.float() * SPREAD_MS),
    device,
    topic: `plant/line-2/${device}/state`,
    payload: Buffer.from(JSON.stringify(reading)),
  };
}
