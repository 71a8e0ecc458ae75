/** Limits of a reader of envelopes (I10). The reader checks each limit before it allocates. */

export interface EnvelopeLimits {
  /** Bytes of a body, unpacked. */
  bodyBytes: number;
  /** Times that a body may be as large as its zstd frame; a body of 4 MiB may always come. */
  expansion: number;
  /** Bytes of one device or topic in UTF-8. MQTT allows 65,535. */
  textBytes: number;
  /** Bytes of one payload. */
  payloadBytes: number;
  /** Records of one envelope; the same bound holds for its gaps, its devices and its topics. */
  records: number;
}

const MIB = 1024 * 1024;

/**
 * An agent packs at most 5,000 records or 1 MiB of records, or one larger record. No provider takes more than
 * 10 MB; the broker's own bound is 256 KiB for a packet and 1,024 bytes for a topic.
 */
export const ENVELOPE_LIMITS: EnvelopeLimits = {
  bodyBytes: 16 * MIB,
  // Readings reach 10 to 40.
  expansion: 256,
  textBytes: 4096,
  payloadBytes: 10 * MIB,
  records: 10_000,
};

/** The bounds of the format itself: no reader takes more. */
export const FORMAT_LIMITS: EnvelopeLimits = {
  bodyBytes: 64 * MIB,
  expansion: Number.POSITIVE_INFINITY,
  textBytes: 65_535,
  payloadBytes: 64 * MIB,
  records: 200_000,
};

/**
 * Most CBOR items in one envelope, each list counted. Without a bound, 2 KB of zstd unpack to 60 million
 * empty lists, which take 3 GB.
 */
export const ITEMS_MAX = 200_000;

/** An agent's largest envelope, one megabyte of equal readings, packs to 200 bytes. */
const EXPANDED_BYTES_FREE = 4 * MIB;

/** Most bytes of a body that comes as `packedBytes` of zstd. */
export function unpackedBytesMax(packedBytes: number, { bodyBytes, expansion }: EnvelopeLimits): number {
  return Math.min(bodyBytes, Math.max(EXPANDED_BYTES_FREE, packedBytes * expansion));
}
