/**
 * How many rows go into one envelope. Live envelopes aim at one metering unit; backlog envelopes grow to what
 * the providers take. Compression is learned from the envelopes before, so that one encoding nearly always
 * fits.
 *
 * Pure: no clock, no I/O (I11).
 */
import { encodeEnvelope } from '../../shared/envelope/codec.ts';
import type { Envelope } from '../../shared/envelope/envelope.ts';
import type { TelemetryRecord } from '../../shared/record.ts';

/** Weight of the newest envelope in the learned ratio. */
const RATIO_GAIN = 0.2;
/** Part of the target that is aimed at: envelopes differ from their predecessors by less than the rest. */
const AIM = 0.97;
/** However well records shrink: bounds the time of one encoding and what the router must unpack (I10). */
const RAW_BYTES_MAX = 1024 * 1024;

/**
 * About what the store counts for a record: characters for bytes, because it is summed up for each envelope
 * and learned from.
 */
export function recordSize({ payload, topic, device }: TelemetryRecord): number {
  return payload.length + topic.length + device.length;
}

export class Packer {
  /** Encoded bytes per byte of records, as the store counts them. Starts at 1, as if nothing shrank. */
  #ratio = 1;

  /** Bytes of records that should encode to a little less than `targetBytes`. */
  rawBytesFor(targetBytes: number): number {
    return Math.max(1, Math.min(RAW_BYTES_MAX, Math.floor((targetBytes * AIM) / this.#ratio)));
  }

  /**
   * Encodes a prefix of `records` that fits `targetBytes`, as long as can be foretold (at least one record,
   * whatever its size). `envelope` gives everything but the records.
   */
  pack(
    envelope: Omit<Envelope, 'records'>,
    records: readonly TelemetryRecord[],
    targetBytes: number,
  ): { bytes: Uint8Array; envelope: Envelope } {
    let count = this.#countFor(records, targetBytes);
    for (;;) {
      const packed = { ...envelope, records: records.slice(0, count) };
      const bytes = encodeEnvelope(packed);
      const raw = packed.records.reduce((sum, record) => sum + recordSize(record), 0);
      if (raw > 0) this.#ratio += (Math.min(1.5, bytes.length / raw) - this.#ratio) * RATIO_GAIN;
      if (bytes.length <= targetBytes || count <= 1) return { bytes, envelope: packed };
      // Shrink in proportion, and always by one.
      count = Math.max(1, Math.min(count - 1, Math.floor((count * targetBytes * 0.95) / bytes.length)));
    }
  }

  #countFor(records: readonly TelemetryRecord[], targetBytes: number): number {
    const limit = this.rawBytesFor(targetBytes);
    let raw = 0;
    let count = 0;
    for (const record of records) {
      raw += recordSize(record);
      if (raw > limit && count > 0) break;
      count += 1;
    }
    return count;
  }
}
