/**
 * A record as a NATS message: its subject and its headers. Names come from gateways and devices and may hold
 * any character. Percent-encoding keeps different names different, and lets no name become a wildcard, a
 * second token or a broken line.
 */
import type { MsgHdrs } from '@nats-io/transport-node';
import type { LedgerRecord } from '../../ledger/types.ts';
import { recordTime } from './record-json.ts';

/** A literal first character keeps records out of `$JS` and `$SYS`, whatever their names are. */
export const SUBJECT_TEMPLATE =
  /^[\w-]([\w-]|\{(gateway|stream|device|topic)\})*(\.([\w-]|\{(gateway|stream|device|topic)\})+)*$/;
/** A server takes 4,096 bytes of subject, reply subject and sizes (nats-server, `max_control_line`). */
const SUBJECT_CHARACTERS_MAX = 2048;

/** Fills the template and cuts it at the server's limit; `Headgate-Topic` has the whole topic. */
export function natsSubject(template: string, record: LedgerRecord): string {
  const values: Record<string, string> = {
    gateway: token(record.gateway),
    stream: token(record.stream),
    device: token(record.device),
    topic: record.topic.split('/').map(token).join('.'),
  };
  const subject = template.replaceAll(/\{(\w+)\}/g, (whole, name: string) => values[name] ?? whole);
  if (subject.length <= SUBJECT_CHARACTERS_MAX) return subject;
  return subject.slice(0, SUBJECT_CHARACTERS_MAX).replace(/(%.?|\.)$/, '');
}

/** One token of a subject. An empty token, which NATS forbids, becomes `%00`: no name contains U+0000. */
function token(name: string): string {
  if (name === '') return '%00';
  return encodeURIComponent(name.toWellFormed()).replaceAll('.', '%2E').replaceAll('*', '%2A');
}

/** Adds the record's id, names and time; values are percent-encoded where a header line cannot hold them. */
export function recordHeaders(headers: MsgHdrs, record: LedgerRecord): MsgHdrs {
  const { gateway, epoch, stream, seq, device, topic, clockQuality } = record;
  const time = recordTime(record);
  headers.set('Nats-Msg-Id', [gateway, epoch, stream, String(seq)].map(token).join('/'));
  headers.set('Headgate-Gateway', headerValue(gateway));
  headers.set('Headgate-Epoch', headerValue(epoch));
  headers.set('Headgate-Stream', headerValue(stream));
  headers.set('Headgate-Seq', String(seq));
  headers.set('Headgate-Device', headerValue(device));
  headers.set('Headgate-Topic', headerValue(topic));
  if (time !== null) headers.set('Headgate-Time', time);
  headers.set('Headgate-Clock', clockQuality);
  return headers;
}

function headerValue(text: string): string {
  return encodeURI(text.toWellFormed());
}
