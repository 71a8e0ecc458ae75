/**
 * A record as a CloudEvents 1.0 event in JSON (github.com/cloudevents/spec, "JSON Event Format"). `source`
 * and `id` together are the record id, by which the specification recognises repeats.
 */
import { isUtf8 } from 'node:buffer';
import type { LedgerRecord } from '../../ledger/types.ts';
import { payloadOf, recordTime } from './record-json.ts';

/** Content type of a batch: an array of events (JSON Event Format, 4 "JSON Batch Format"). */
export const CLOUD_EVENTS_BATCH = 'application/cloudevents-batch+json';

/**
 * A JSON payload is the event's data, byte for byte; other text is a string; all other payloads are base64.
 */
export function cloudEventJson(record: LedgerRecord): string {
  const { gateway, epoch, stream, seq, device, topic, clockQuality } = record;
  const time = recordTime(record);
  const { contentType, member } = dataOf(payloadOf(record));
  const attributes = {
    specversion: '1.0',
    id: [epoch, stream, seq].map(encodePart).join('/'),
    source: `/headgate/${encodePart(gateway)}`,
    type: 'headgate.record',
    // No attribute may be empty (CloudEvents 1.0, 3 "Context Attributes").
    ...(topic === '' ? {} : { subject: topic }),
    ...(time === null ? {} : { time }),
    datacontenttype: contentType,
    gateway,
    epoch,
    stream,
    // A CloudEvents Integer has 32 bits, a seq more.
    sequence: String(seq),
    ...(device === '' ? {} : { device }),
    clockquality: clockQuality,
  };
  return `${JSON.stringify(attributes).slice(0, -1)},${member}}`;
}

function dataOf(payload: Buffer): { contentType: string; member: string } {
  if (!isUtf8(payload)) {
    return {
      contentType: 'application/octet-stream',
      member: `"data_base64":"${payload.toString('base64')}"`,
    };
  }
  const text = payload.toString('utf8');
  return isJson(text)
    ? { contentType: 'application/json', member: `"data":${text}` }
    : { contentType: 'text/plain', member: `"data":${JSON.stringify(text)}` };
}

/** Whether `text` is one JSON value (RFC 8259). */
export function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    // Payloads that are not JSON are normal: nothing to report.
    return false;
  }
}

/** A part of an id between slashes; unpaired surrogates, which a URI cannot hold, become U+FFFD. */
function encodePart(part: string | number): string {
  return encodeURIComponent(String(part).toWellFormed());
}
