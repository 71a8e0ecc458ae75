/**
 * Chooses the number of rows for one envelope. Live envelopes aim at one metering unit; backlog envelopes
 * grow to the providers' limit. The compression ratio is learned from earlier envelopes, so one encoding
 * nearly always fits.
 *
 * Pure: no clock, no I/O (I11).
 */
import { encodeEnvelope } from '../../shared/envelope/codec.ts';
import type { Envelope } from '../../shared/envelope/envelope.ts';
import type { TelemetryRecord } from '../../shared/record.ts';
import { type Protection, UNPROTECTED } from '../keys/protection.ts';

/** Weight of the newest envelope in the learned ratio. */
const RATIO_GAIN = 0.2;
/** Share of the target to aim at: consecutive envelopes differ by less than the rest. */
const AIM = 0.97;
/** Bound for well-compressing records: limits the time of one encoding and the router's unpacking (I10). */
const RAW_BYTES_MAX = 1024 * 1024;

/**
 * Approximates the store's size of a record with characters for bytes, because it is summed for each envelope
 * and learned from.
 */
export function recordSize({ payload, topic, device }: TelemetryRecord): number {
  return payload.length + topic.length + device.length;
}

export class Packer {
  /**
   * Encoded bytes per byte of records, as the store counts them. Starts at 1, as if nothing were compressed.
   */
  #ratio = 1;

  /** Bytes of records that should encode to slightly less than `targetBytes`. */
  rawBytesFor(targetBytes: number): number {
    return Math.max(1, Math.min(RAW_BYTES_MAX, Math.floor((targetBytes * AIM) / this.#ratio)));
  }

  /**
   * Encodes the longest prefix of `records` that fits `targetBytes` by estimate, at least one record of any
   * size. `envelope` provides all other fields; a signature and a seal count as part of it.
   */
  pack(
    envelope: Omit<Envelope, 'records'>,
    records: readonly TelemetryRecord[],
    targetBytes: number,
    { signer, sealer }: Protection = UNPROTECTED,
  ): { bytes: Uint8Array; envelope: Envelope } {
    let count = this.#countFor(records, targetBytes);
    for (;;) {
      const packed = { ...envelope, records: records.slice(0, count) };
      const bytes = encodeEnvelope(packed, signer, sealer);
      const raw = packed.records.reduce((sum, record) => sum + recordSize(record), 0);
      if (raw > 0) this.#ratio += (Math.min(1.5, bytes.length / raw) - this.#ratio) * RATIO_GAIN;
      if (bytes.length <= targetBytes || count <= 1) return { bytes, envelope: packed };
      // Shrink in proportion, and by at least one record.
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
