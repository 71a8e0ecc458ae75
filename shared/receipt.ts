/**
 * A receipt: the router's statement to one gateway about the content of its ledger. Receipts are cumulative,
 * so only the newest counts and a lost one does no harm. docs/explanation/receipts.md specifies them; they
 * travel as JSON.
 */
import { z } from 'zod';
import { IntervalSet } from './interval-set.ts';
import type { SeqRange } from './record.ts';
import { problemOf, wireList } from './wire-json.ts';

/** The ledger's state of one (epoch, stream). */
export interface StreamReceipt {
  epoch: string;
  stream: string;
  /**
   * Every seq up to here, except `missing`, is committed or given up. The receipt states nothing about higher
   * seqs.
   */
  to: number;
  /** Ascending. */
  missing: SeqRange[];
  /** Ranges that the ledger does not hold because they were given up, ascending: all from `givenUpFrom`. */
  givenUp: SeqRange[];
  /** Below, the receipt does not tell committed seqs from given-up ones; 1 where none is left out. */
  givenUpFrom: number;
  /** The announced end of an epoch that is over. */
  sealedAt: number | null;
}

export interface Receipt {
  gateway: string;
  /** The higher version of two receipts counts. */
  version: number;
  streams: StreamReceipt[];
}

/**
 * Bounds of a receipt (I10): streams, and ranges in all of them together. A later receipt states the rest.
 */
export const RECEIPT_STREAMS_MAX = 64;
export const RECEIPT_RANGES_MAX = 1000;
/** The longest possible receipt within the bounds. */
export const RECEIPT_BYTES_MAX = 128 * 1024;

const name = z.string().regex(/^[a-z0-9_][a-z0-9_-]{0,63}$/);
const seq = z.int().min(0).max(Number.MAX_SAFE_INTEGER);
/** One mistake for a list, however many of its ranges are wrong. */
const ranges = z
  .custom<ReadonlyArray<readonly [number, number]>>(areRanges, {
    message: `expected at most ${RECEIPT_RANGES_MAX} ascending ranges that do not overlap`,
  })
  .transform((all) => all.map(([first, last]): SeqRange => ({ first, last })));

function areRanges(value: unknown): boolean {
  if (!Array.isArray(value) || value.length > RECEIPT_RANGES_MAX) return false;
  let before = 0;
  return value.every((range: unknown) => {
    const [first, last, ...rest]: unknown[] = Array.isArray(range) ? range : [];
    if (!isSeq(first) || !isSeq(last) || rest.length > 0 || first > last || first <= before) return false;
    before = last;
    return true;
  });
}

function isSeq(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value);
}

/** Unknown fields are ignored: a newer router may send more. */
const receiptSchema = z.object({
  v: z.literal(1),
  gateway: name,
  version: seq.min(1),
  streams: wireList(
    z
      .object({
        epoch: name,
        stream: name,
        to: seq,
        missing: ranges,
        given_up: ranges,
        given_up_from: seq.min(1).default(1),
        sealed_at: seq.nullable(),
      })
      .transform(
        ({ given_up: givenUp, given_up_from: givenUpFrom, sealed_at: sealedAt, ...rest }): StreamReceipt => ({
          ...rest,
          givenUp,
          givenUpFrom,
          sealedAt,
        }),
      ),
    RECEIPT_STREAMS_MAX,
  ),
});

/** The JSON form of a receipt. */
export function receiptJson({ gateway, version, streams }: Receipt): object {
  const pairs = (list: readonly SeqRange[]) => list.map(({ first, last }) => [first, last]);
  return {
    v: 1,
    gateway,
    version,
    streams: streams.map(({ epoch, stream, to, missing, givenUp, givenUpFrom, sealedAt }) => ({
      epoch,
      stream,
      to,
      missing: pairs(missing),
      given_up: pairs(givenUp),
      ...(givenUpFrom > 1 ? { given_up_from: givenUpFrom } : {}),
      sealed_at: sealedAt,
    })),
  };
}

/** Parses the JSON of {@link receiptJson}; otherwise returns the problem. */
export function readReceipt(json: unknown): { receipt: Receipt } | { problem: string } {
  const parsed = receiptSchema.safeParse(json);
  if (!parsed.success) return { problem: problemOf(parsed.error) };
  const { v: _, ...receipt } = parsed.data;
  return { receipt };
}

/** The seqs that the receipt states as committed or given up. */
export function coveredBy({ to, missing }: StreamReceipt): IntervalSet {
  const covered = IntervalSet.of(to > 0 ? [{ first: 1, last: to }] : []);
  for (const { first, last } of missing) covered.remove(first, last);
  return covered;
}

/** The seqs that the receipt states as committed: for these alone a gateway may free rows. */
export function committedBy(receipt: StreamReceipt): IntervalSet {
  const committed = coveredBy(receipt);
  for (const { first, last } of receipt.givenUp) committed.remove(first, last);
  if (receipt.givenUpFrom > 1) committed.remove(1, receipt.givenUpFrom - 1);
  return committed;
}
