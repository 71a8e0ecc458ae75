/**
 * Shortens a receipt to the limit of a downlink (I10). A shortened receipt states less and stays true; a
 * later one states the rest. Pure.
 */
import type { Receipt, StreamReceipt } from '../../shared/receipt.ts';
import type { StreamKey } from '../../shared/record.ts';

/** Given-up ranges of each stream that are left out last. */
const GIVEN_UP_FEW = 4;

/**
 * The receipt, shortened until it fits. Given-up ranges are left out first, the older ones before
 * the newest few. Then half of the ranges, the later ones of each stream, as often as needed; then half of
 * the streams, those with the oldest commits (`recency`: higher is later).
 */
export function fitted(
  receipt: Receipt,
  recency: (key: Pick<StreamKey, 'epoch' | 'stream'>) => number,
  fits: (receipt: Receipt) => boolean,
): Receipt {
  if (fits(receipt)) return receipt;
  const few = { ...receipt, streams: receipt.streams.map((stream) => withGivenUp(stream, GIVEN_UP_FEW)) };
  if (fits(few)) return few;
  let streams = receipt.streams.map((stream) => withGivenUp(stream, 0));
  for (;;) {
    const cut = { ...receipt, streams };
    if (fits(cut) || streams.length === 0) return cut;
    const rangesMax = Math.max(...streams.map(({ missing }) => missing.length));
    streams =
      rangesMax > 0
        ? streams.map((stream) => shortened(stream, Math.floor(rangesMax / 2)))
        : latest(streams, recency, Math.floor(streams.length / 2));
  }
}

/** With the newest `count` given-up ranges. */
function withGivenUp(stream: StreamReceipt, count: number): StreamReceipt {
  const leftOut = stream.givenUp.length - count;
  const last = stream.givenUp[leftOut - 1]?.last;
  if (last === undefined) return stream;
  return { ...stream, givenUp: stream.givenUp.slice(leftOut), givenUpFrom: last + 1 };
}

/** `to` ends at the last listed range: beyond it, the receipt states nothing. */
function shortened(stream: StreamReceipt, rangesMax: number): StreamReceipt {
  const next = stream.missing[rangesMax];
  if (!next) return stream;
  const missing = stream.missing.slice(0, rangesMax);
  return { ...stream, missing, to: missing.at(-1)?.last ?? next.first - 1 };
}

/** The `count` streams with the latest commits, in their original order. */
function latest(
  streams: readonly StreamReceipt[],
  recency: (key: StreamReceipt) => number,
  count: number,
): StreamReceipt[] {
  const kept = new Set([...streams].sort((a, b) => recency(b) - recency(a)).slice(0, count));
  return streams.filter((stream) => kept.has(stream));
}
