/** Arithmetic of the pricing models. */
import type { EnvelopeSizes } from './model.ts';

export const PER_MILLION = 1e6;
export const GIB = 2 ** 30;
/** An average month, to convert figures per day into figures per month. */
export const DAYS_PER_MONTH = 365 / 12;

export function egressUsd(sheet: { egress_usd_per_gib: { value: number } }, sizes: EnvelopeSizes): number {
  return ((sizes.payloadBytes + sizes.propertyBytes) * sheet.egress_usd_per_gib.value) / GIB;
}

/** The number of units of `unitBytes`, rounded up; at least one. */
export function started(bytes: number, unitBytes: number): number {
  return Math.max(1, Math.ceil(bytes / unitBytes));
}

/** The part of `amount`, after `used`, beyond the free allotment. */
export function beyond(used: number, amount: number, free: number): number {
  return Math.min(amount, Math.max(0, used + amount - free));
}

/** Length of the overlap of [from, to) and [low, high). */
export function overlap(from: number, to: number, low: number, high: number): number {
  return Math.max(0, Math.min(to, high) - Math.max(from, low));
}
