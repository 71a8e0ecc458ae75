/** Small zod types that agent.yaml and router.yaml share. */
import { z } from 'zod';

const UNITS_MS: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const UNITS_BYTES: Record<string, number> = {
  B: 1,
  KB: 1000,
  KiB: 1024,
  MB: 1e6,
  MiB: 2 ** 20,
  GB: 1e9,
  GiB: 2 ** 30,
};

/** `250ms`, `30s`, `15m`, `6h`, `30d`, parsed to milliseconds. */
export function duration(): z.ZodType<number, string> {
  return z
    .string()
    .regex(/^\d+(\.\d+)?(ms|s|m|h|d)$/, 'expected a duration such as 250ms, 30s, 15m, 6h or 30d')
    .transform((text) => Number.parseFloat(text) * (UNITS_MS[text.replace(/[\d.]+/, '')] ?? Number.NaN));
}

/** `512KiB`, `2GiB`, parsed to bytes. */
export function byteSize(): z.ZodType<number, string> {
  return z
    .string()
    .regex(/^\d+(\.\d+)?(B|KB|KiB|MB|MiB|GB|GiB)$/, 'expected a size such as 256KiB, 100MB or 2GiB')
    .transform((text) =>
      Math.round(Number.parseFloat(text) * (UNITS_BYTES[text.replace(/[\d.]+/, '')] ?? Number.NaN)),
    );
}

/** Milliseconds in the form of {@link duration}, in the largest unit that divides them. */
export function durationText(ms: number): string {
  return inLargestUnit(ms, UNITS_MS);
}

/** Bytes in the form of {@link byteSize}, in the largest binary unit that divides them. */
export function byteSizeText(bytes: number): string {
  return inLargestUnit(bytes, { B: 1, KiB: 1024, MiB: 2 ** 20, GiB: 2 ** 30 });
}

function inLargestUnit(value: number, units: Readonly<Record<string, number>>): string {
  let text = String(value);
  for (const [unit, size] of Object.entries(units)) {
    if (value % size === 0 && (value !== 0 || size === 1)) text = `${value / size}${unit}`;
  }
  return text;
}

/** Names of gateways, providers and streams: they become topic levels, subjects and file names. */
export function identifier(): z.ZodString {
  return z
    .string()
    .regex(
      /^[a-z0-9][a-z0-9_-]{0,63}$/,
      'expected 1–64 of a–z, 0–9, "_" or "-", not starting with "_" or "-"',
    );
}
