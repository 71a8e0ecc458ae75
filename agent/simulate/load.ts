/**
 * The load of each stream from the history: its records as they arrived, in envelopes of the recorded size.
 * Pure (I11).
 */
import type { EnvelopeSizes } from '../../shared/pricing/metering.ts';
import { propertyBytes } from '../../shared/pricing/metering.ts';
import type { RecordedLoad, Span } from './recording.ts';

/** For a stream without any accepted envelope. */
const RECORDS_PER_ENVELOPE = 20;
const ENVELOPE_BYTES = 3000;
/** Approximate size of a heartbeat. */
const PROBE_BYTES = 150;

/** The sizes of an envelope, with properties of realistic length. */
function sizesOf(gateway: string, stream: string, payloadBytes: number): EnvelopeSizes {
  const properties = { hg: '1', gw: gateway, ep: '100-00000000', st: stream };
  const ranges = { first: '1000000', last: '1000100', n: '100' };
  return {
    payloadBytes,
    topicBytes: Buffer.byteLength(`headgate/${gateway}/${stream}`),
    propertyBytes: propertyBytes({ ...properties, ...ranges }),
  };
}

export function probeSizes(gateway: string): EnvelopeSizes {
  return sizesOf(gateway, '_heartbeat', PROBE_BYTES);
}

export class StreamLoad {
  readonly stream: string;
  readonly recordsPerEnvelope: number;
  readonly sizes: EnvelopeSizes;
  readonly #windows: readonly RecordedLoad[];
  #next = 0;

  /** `windows` of all streams, ascending. */
  constructor(gateway: string, stream: string, windows: readonly RecordedLoad[]) {
    this.stream = stream;
    this.#windows = windows.filter(({ s }) => s === stream);
    const sum = (key: 'e' | 'er' | 'eb'): number =>
      this.#windows.reduce((total, window) => total + window[key], 0);
    const envelopes = sum('e');
    this.recordsPerEnvelope = envelopes > 0 ? Math.max(1, sum('er') / envelopes) : RECORDS_PER_ENVELOPE;
    this.sizes = sizesOf(gateway, stream, Math.round(envelopes > 0 ? sum('eb') / envelopes : ENVELOPE_BYTES));
  }

  /**
   * Records that arrived after `from`, up to `to`. Each call must begin at the end of the previous one, or
   * later.
   */
  arrived({ from, to }: Span): number {
    let records = 0;
    for (let i = this.#next; i < this.#windows.length; i++) {
      const window = this.#windows[i];
      if (!window || window.from > to) break;
      if (window.to <= from && window.to > window.from) {
        if (i === this.#next) this.#next += 1;
        continue;
      }
      records += window.r * shareOf(window, { from, to });
    }
    return records;
  }
}

/** The share of the window, evenly filled, that lies after `from` and not after `to`. */
function shareOf(window: Span, { from, to }: Span): number {
  const length = window.to - window.from;
  if (length === 0) return window.from > from && window.from <= to ? 1 : 0;
  return Math.max(0, Math.min(window.to, to) - Math.max(window.from, from)) / length;
}
