/** The content of a receipt, made from the completeness that every ledger engine states (I6). Pure. */
import { RECEIPT_RANGES_MAX, RECEIPT_STREAMS_MAX, type StreamReceipt } from '../../shared/receipt.ts';
import type { SeqRange, StreamKey } from '../../shared/record.ts';
import type { StreamCompleteness } from '../ledger/types.ts';

/**
 * Given-up ranges of one stream, the newest: a gateway frees nothing below them. Missing ranges come first
 * within the limit of all ranges.
 */
const GIVEN_UP_MAX = 50;

/**
 * The streams of one gateway: those with the latest commits first (`recency`: higher is later), then those of
 * the newest epochs. A gateway that was offline sends many old epochs at once and waits for a receipt of
 * each.
 */
export function streamReceipts(
  streams: readonly StreamCompleteness[],
  recency: (key: StreamKey) => number,
): StreamReceipt[] {
  const ordered = [...streams].sort(
    (a, b) => recency(b) - recency(a) || epochNumber(b) - epochNumber(a) || (a.stream < b.stream ? -1 : 1),
  );
  let left = RECEIPT_RANGES_MAX;
  const receipts = ordered.slice(0, RECEIPT_STREAMS_MAX).map((stream) => {
    const receipt = streamReceipt(stream, left);
    left -= receipt.missing.length + receipt.givenUp.length;
    return receipt;
  });
  // A stable order: a mere change of recency must not make another receipt.
  return receipts.sort((a, b) => (`${a.epoch}/${a.stream}` < `${b.epoch}/${b.stream}` ? -1 : 1));
}

function streamReceipt(stream: StreamCompleteness, rangesMax: number): StreamReceipt {
  const { epoch, stream: name, highest, completeTo, missingCount, gaps, sealedAt } = stream;
  const missing = stream.missing.slice(0, rangesMax).map(({ first, last }) => ({ first, last }));
  const listed = missing.reduce((sum, { first, last }) => sum + last - first + 1, 0);
  // Beyond the last missing range that is listed, the receipt states nothing.
  const to = listed === missingCount ? highest : (missing.at(-1)?.last ?? completeTo);
  const all = merged(gaps);
  const leftOut = Math.max(0, all.length - Math.min(GIVEN_UP_MAX, rangesMax - missing.length));
  const givenUpFrom = (all[leftOut - 1]?.last ?? 0) + 1;
  return { epoch, stream: name, to, missing, givenUp: all.slice(leftOut), givenUpFrom, sealedAt };
}

/** Neighbours with different reasons are one range here. */
function merged(ranges: readonly SeqRange[]): SeqRange[] {
  const result: SeqRange[] = [];
  for (const { first, last } of ranges) {
    const before = result.at(-1);
    if (before && first <= before.last + 1) before.last = Math.max(before.last, last);
    else result.push({ first, last });
  }
  return result;
}

/** `<start counter>-<hex>`. */
function epochNumber({ epoch }: StreamKey): number {
  return Number.parseInt(epoch, 10) || 0;
}
