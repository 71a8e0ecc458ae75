/** Arithmetic that the pricing models share. */
import type { EnvelopeSizes } from './model.ts';

export const PER_MILLION = 1e6;
export const GIB = 2 ** 30;
/** Of an average month, to turn figures per day into figures per month. */
export const DAYS_PER_MONTH = 365 / 12;

export function egressUsd(sheet: { egress_usd_per_gib: { value: number } }, sizes: EnvelopeSizes): number {
  return ((sizes.payloadBytes + sizes.propertyBytes) * sheet.egress_usd_per_gib.value) / GIB;
}

/** Whole units of `unitBytes` that are begun; at least one. */
export function started(bytes: number, unitBytes: number): number {
  return Math.max(1, Math.ceil(bytes / unitBytes));
}

/** The part of `amount`, after `used`, that the free allotment no longer covers. */
export function beyond(used: number, amount: number, free: number): number {
  return Math.min(amount, Math.max(0, used + amount - free));
}

/** Length of the part that [from, to) and [low, high) share. */
export function overlap(from: number, to: number, low: number, high: number): number {
  return Math.max(0, Math.min(to, high) - Math.max(from, low));
}
