/** The record and its identity: (gateway, epoch, stream, seq), given once at the first durable write (I2). */

/** One dense sequence of records. `epoch` is `<start counter>-<random hex>`, new at every start of the store. */
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

/** One MQTT publish that the broker accepted, as it travels. */
export interface TelemetryRecord {
  seq: number;
  /** Monotonic milliseconds since the boot that the envelope's clock names. */
  monoMs: number;
  /** MQTT client id of the device that published it. */
  device: string;
  topic: string;
  payload: Uint8Array;
}

/** Why the gateway gave up a range on purpose (I3). The text is the log field, the metric label and the wire value. */
export type GapReason =
  /** The buffer reached its size and the written rule evicted these. */
  | 'quota'
  /** Older than the stream's retention. */
  | 'age'
  /** Not readable after the file was damaged. */
  | 'corruption';

export interface Gap extends SeqRange {
  reason: GapReason;
}
