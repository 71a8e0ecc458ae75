/**
 * A receipt cut to what a downlink carries, by its own rules: what is left out is not said, and comes with a
 * later one (I10). Pure.
 */
import { type Receipt, receiptJson, type StreamReceipt } from '../../shared/receipt.ts';
import type { StreamKey } from '../../shared/record.ts';

/**
 * The receipt in at most `bytesMax` bytes of JSON. Given-up ranges go first, which are for people; then half
 * of the ranges, the later ones of each stream, as often as needed; then half of the streams, those that
 * something came in for longest ago (`recency`: the higher, the later).
 */
export function fitted(
  receipt: Receipt,
  recency: (key: Pick<StreamKey, 'epoch' | 'stream'>) => number,
  bytesMax: number,
): Receipt {
  if (bytesOf(receipt) <= bytesMax) return receipt;
  let streams = receipt.streams.map((stream): StreamReceipt => ({ ...stream, givenUp: [] }));
  for (;;) {
    const cut = { ...receipt, streams };
    if (bytesOf(cut) <= bytesMax || streams.length === 0) return cut;
    const rangesMax = Math.max(...streams.map(({ missing }) => missing.length));
    streams =
      rangesMax > 0
        ? streams.map((stream) => shortened(stream, Math.floor(rangesMax / 2)))
        : latest(streams, recency, Math.floor(streams.length / 2));
  }
}

/** As it travels in a message or a document. */
export function receiptText(receipt: Receipt): string {
  return JSON.stringify({ receipt: receiptJson(receipt) });
}

function bytesOf(receipt: Receipt): number {
  return Buffer.byteLength(receiptText(receipt));
}

/** `to` ends at the last range that is listed: of what is behind it, it is not known what is missing. */
function shortened(stream: StreamReceipt, rangesMax: number): StreamReceipt {
  const next = stream.missing[rangesMax];
  if (!next) return stream;
  const missing = stream.missing.slice(0, rangesMax);
  return { ...stream, missing, to: missing.at(-1)?.last ?? next.first - 1 };
}

/** In the order they had. */
function latest(
  streams: readonly StreamReceipt[],
  recency: (key: StreamReceipt) => number,
  count: number,
): StreamReceipt[] {
  const kept = new Set([...streams].sort((a, b) => recency(b) - recency(a)).slice(0, count));
  return streams.filter((stream) => kept.has(stream));
}
