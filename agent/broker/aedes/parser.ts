/**
 * The parser of a client: a private object of aedes 1.2.0 with private methods of mqtt-packet 9.0.2. A test
 * checks that the pinned versions still have the members used here.
 */
import type { Client } from 'aedes';

/** The parts of mqtt-packet's parser that are used or replaced. */
export interface Parser {
  packet: {
    cmd?: string;
    length: number;
    qos?: number;
    dup?: boolean;
    /** Of a CONNECT. */
    protocolVersion?: number;
    messageId?: number;
    username?: string;
    password?: Uint8Array;
    will?: { qos: number };
    subscriptions?: Array<{ topic: string }>;
    unsubscriptions?: string[];
  };
  /** Bytes from the packet's variable header on. */
  _list: { length: number; slice(start: number, end: number): Uint8Array };
  _pos: number;
  /** When not null, the parser treats the next bytes as a new packet. */
  error: Error | null;
  emit(event: 'error', error: Error): void;
  _parseLength(): boolean;
  /** False while bytes of the packet are missing. */
  _parsePayload(): boolean;
  /** Null when the string is missing. */
  _parseString(): string | null;
  _parseMessageId(): boolean;
  _parseConnect(): unknown;
  _parseSubscribe(): unknown;
  _parseUnsubscribe(): unknown;
  /** Stops the parser; the client then ends its connection. */
  _emitError(error: Error): void;
}

const METHODS = [
  'emit',
  '_parseLength',
  '_parsePayload',
  '_parseString',
  '_parseMessageId',
  '_parseConnect',
  '_parseSubscribe',
  '_parseUnsubscribe',
  '_emitError',
] as const;

/** Throws when aedes or mqtt-packet no longer has these members. */
export function parserOf(client: Client): Parser {
  const parser: unknown = Reflect.get(client, '_parser');
  if (!isParser(parser)) throw new Error('aedes or mqtt-packet changed: no parser');
  return parser;
}

function isParser(value: unknown): value is Parser {
  if (typeof value !== 'object' || value === null) return false;
  const packet: unknown = Reflect.get(value, 'packet');
  const list: unknown = Reflect.get(value, '_list');
  return (
    METHODS.every((name) => typeof Reflect.get(value, name) === 'function') &&
    typeof packet === 'object' &&
    packet !== null &&
    typeof Reflect.get(packet, 'length') === 'number' &&
    typeof list === 'object' &&
    list !== null &&
    typeof Reflect.get(list, 'slice') === 'function'
  );
}
