/**
 * The record and its identity: (gateway, epoch, stream, seq), assigned once at the first durable write (I2).
 */

/**
 * One dense sequence of records. `epoch` is `<start counter>-<random hex>`, new at every start of the store.
 */
export interface StreamKey {
  gateway: string;
  epoch: string;
  stream: string;
}

/** Inclusive range of sequence numbers. */
export interface SeqRange {
  first: number;
  last: number;
}

/** The permanent id of one record. */
export interface RecordId extends StreamKey {
  seq: number;
}

const RECORD_ID =
  /^([a-z0-9][a-z0-9_-]{0,63})\/(\d{1,15}-[0-9a-f]{1,16})\/([a-z0-9][a-z0-9_-]{0,63})\/([1-9]\d{0,14})$/;

/**
 * Parses `<gateway>/<epoch>/<stream>/<seq>`, as users write it: `gw-1/12-9f3c01ab/telemetry/4711`. Null for
 * any other text.
 */
export function parseRecordId(text: string): RecordId | null {
  const [, gateway, epoch, stream, seq] = RECORD_ID.exec(text) ?? [];
  if (gateway === undefined || epoch === undefined || stream === undefined) return null;
  return { gateway, epoch, stream, seq: Number(seq) };
}

/** One MQTT publish that the broker accepted, in its wire form. */
export interface TelemetryRecord {
  seq: number;
  /** Monotonic milliseconds since the boot of the envelope's clock. */
  monoMs: number;
  /** MQTT client id of the device that published it. */
  device: string;
  topic: string;
  payload: Uint8Array;
}

/** Why the gateway gave up a range (I3). The text is the log field, the metric label and the wire value. */
export type GapReason =
  /** The buffer was full, and its written rule evicted the records. */
  | 'quota'
  /** Older than the stream's retention. */
  | 'age'
  /** Not readable after the file was damaged. */
  | 'corruption'
  /** Larger than the limit of every provider that may carry the stream. */
  | 'too-large'
  /** Every provider that may carry the stream refused the record for good, and accepted others. */
  | 'rejected';

/** The position in the list is the value on the wire: append only (docs/reference/envelope.md). */
export const GAP_REASONS: readonly GapReason[] = ['quota', 'age', 'corruption', 'too-large', 'rejected'];

export interface Gap extends SeqRange {
  reason: GapReason;
}
