/** A record as a JSON object, the same in every feed that speaks JSON. */
import { isUtf8 } from 'node:buffer';
import { isoTime } from '../../../shared/clock.ts';
import type { LedgerRecord } from '../../ledger/types.ts';

/** Largest instant of a JavaScript Date, ECMA-262 "Time Values and Time Range". */
const WALL_MS_MAX = 8.64e15;

/** ISO 8601; null when the gateway's clock is outside the range of a date. */
export function recordTime({ wallMs }: Pick<LedgerRecord, 'wallMs'>): string | null {
  return Math.abs(wallMs) <= WALL_MS_MAX ? isoTime(wallMs) : null;
}

/** The same bytes as a Buffer. */
export function payloadOf({ payload }: Pick<LedgerRecord, 'payload'>): Buffer {
  return Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
}

/** One JSON object with the payload as text where it is UTF-8, otherwise in base64. */
export function recordJson(record: LedgerRecord): string {
  const payload = payloadOf(record);
  return JSON.stringify({
    gateway: record.gateway,
    epoch: record.epoch,
    stream: record.stream,
    seq: record.seq,
    offset: record.offset,
    device: record.device,
    topic: record.topic,
    time: recordTime(record),
    clock_quality: record.clockQuality,
    ...(isUtf8(payload)
      ? { payload: payload.toString('utf8') }
      : { payload_base64: payload.toString('base64') }),
  });
}
