/**
 * MQTT 3.1.1 requires the server to close the connection on many malformed packets. mqtt-packet 9.0.2 detects
 * most of them; this module detects the rest: text that is not UTF-8 or holds U+0000 [MQTT-1.5.3-1]
 * [MQTT-1.5.3-2], packet id 0 [MQTT-2.3.1-1], a password without a username [MQTT-3.1.2-22], a will of QoS 3
 * [MQTT-3.1.2-14], invalid topic filters [MQTT-4.7.1-2] [MQTT-4.7.1-3], and SUBSCRIBE or UNSUBSCRIBE without
 * a filter [MQTT-3.8.3-3] [MQTT-3.10.3-2], packets whose fields end before or after the packet [MQTT-3.1.4-1]
 * [MQTT-4.8.0-1], and QoS 0 with DUP [MQTT-3.3.1-2]. An unsupported protocol level gets a CONNACK first
 * [MQTT-3.1.2-2].
 */
import { isUtf8 } from 'node:buffer';
import type { Client } from 'aedes';
import { topicFilterProblem } from '../../../shared/policy/topic-filter.ts';
import { type Parser, parserOf } from './parser.ts';

/** CONNACK with return code 1, MQTT 3.1.1 section 3.2.2.3. */
const UNACCEPTABLE_PROTOCOL_VERSION = Uint8Array.from([0x20, 2, 0, 1]);
/** MQTT 3.1, 3.1.1 and 5. aedes refuses 5 itself, when it knows the client id. */
const LEVELS_PARSED: readonly number[] = [3, 4, 5];
/** Bridges set this bit of the protocol level. */
const BRIDGE_BIT = 0x80;
/** Length and text of the protocol's name; the level follows. */
const MQTT_NAME = Buffer.from('\0\u0004MQTT');

export interface StrictPackets {
  /** MQTT 3.1.1 forbids the packet; the connection ends. */
  onMalformed(problem: string): void;
  /** A CONNECT of an unsupported protocol level. */
  onProtocolLevel(level: number): void;
}

/** Call before the client has read anything, and after other parts that raise errors of their own. */
export function refuseMalformed(client: Client, { onMalformed, onProtocolLevel }: StrictPackets): void {
  const parser = parserOf(client);
  const emitError = parser._emitError.bind(parser);
  parser._emitError = (error) => {
    onMalformed(error.message);
    emitError(error);
  };
  refuseText(parser);
  refusePacketIdZero(parser);
  refuseMisfits(parser);
  const parseConnect = parser._parseConnect.bind(parser);
  parser._parseConnect = () => {
    const level = levelOf(parser);
    if (level === null || LEVELS_PARSED.includes(level)) {
      parseConnect();
      refuseAfter(parser, connectProblem);
      return;
    }
    onProtocolLevel(level);
    const error = new Error(`protocol level ${level}`);
    parser.error = error;
    client.conn.write(UNACCEPTABLE_PROTOCOL_VERSION, () => parser.emit('error', error));
  };
  const parseSubscribe = parser._parseSubscribe.bind(parser);
  parser._parseSubscribe = () => {
    parseSubscribe();
    refuseAfter(parser, ({ subscriptions = [] }) => filtersProblem(subscriptions.map(({ topic }) => topic)));
  };
  const parseUnsubscribe = parser._parseUnsubscribe.bind(parser);
  parser._parseUnsubscribe = () => {
    parseUnsubscribe();
    refuseAfter(parser, ({ unsubscriptions = [] }) => filtersProblem(unsubscriptions));
  };
}

function refuseText(parser: Parser): void {
  const parseString = parser._parseString.bind(parser);
  parser._parseString = () => {
    const start = parser._pos + 2;
    const text = parseString();
    if (text === null) return null;
    // The decoder writes U+FFFD for invalid bytes, but a valid text may hold U+FFFD too.
    const isSound = !text.includes('\ufffd') || isUtf8(parser._list.slice(start, parser._pos));
    // The caller takes null for a missing text, and raises an error.
    return isSound && !text.includes('\0') ? text : null;
  };
}

function refusePacketIdZero(parser: Parser): void {
  const parseMessageId = parser._parseMessageId.bind(parser);
  parser._parseMessageId = () => {
    if (!parseMessageId()) return false;
    const { messageId = 0 } = parser.packet;
    if (messageId > 0) return true;
    parser._emitError(new Error('packet id 0, or no packet id'));
    return false;
  };
}

/** Refuses packets whose fields do not fill them: mqtt-packet reads on in the next packet, or skips bytes. */
function refuseMisfits(parser: Parser): void {
  const parsePayload = parser._parsePayload.bind(parser);
  parser._parsePayload = () => {
    const isWhole = parsePayload();
    if (isWhole) refuseAfter(parser, (packet) => misfit(packet, parser._pos));
    return isWhole;
  };
}

function misfit({ cmd, length, qos, dup, protocolVersion }: Parser['packet'], end: number): string | null {
  if (cmd === 'publish') {
    if (end > length) return 'a packet that ends before its packet id';
    return dup && qos === 0 ? 'QoS 0 with DUP' : null;
  }
  // aedes answers it with return code 1, whatever it holds.
  if (protocolVersion === 5 || end === length) return null;
  return end < length ? 'bytes after the last field' : 'a packet that ends before its fields';
}

/** Runs after the packet was parsed. Does nothing when parsing has failed already. */
function refuseAfter(parser: Parser, problemOf: (packet: Parser['packet']) => string | null): void {
  if (parser.error) return;
  const problem = problemOf(parser.packet);
  if (problem !== null) parser._emitError(new Error(problem));
}

function connectProblem({ username, password, will }: Parser['packet']): string | null {
  if (password !== undefined && username === undefined) return 'a password without a username';
  return will && will.qos > 2 ? 'a will of QoS 3' : null;
}

function filtersProblem(filters: readonly string[]): string | null {
  if (filters.length === 0) return 'no topic filter';
  for (const filter of filters) {
    const problem = topicFilterProblem(filter);
    if (problem !== null) return `topic filter: ${problem}`;
  }
  return null;
}

/** Null for another protocol name than MQTT: the parser refuses it, or knows it as MQTT 3.1's name. */
function levelOf({ _list: list }: Parser): number | null {
  const start = list.slice(0, MQTT_NAME.length + 1);
  if (start.length <= MQTT_NAME.length || !MQTT_NAME.equals(start.subarray(0, MQTT_NAME.length))) return null;
  return (start[MQTT_NAME.length] ?? 0) & ~BRIDGE_BIT;
}
