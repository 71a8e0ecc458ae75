/** MQTT 3.1.1 packets, byte by byte: as clients send them and as a server has to answer. */

type Qos = 0 | 1 | 2;
type Text = string | Uint8Array;

interface ConnectFields {
  clean?: boolean;
  keepaliveS?: number;
  will?: { topic: Text; payload: Text; qos?: Qos; retain?: boolean };
  username?: Text;
  password?: Text;
}

interface PublishFields {
  qos?: Qos;
  id?: number;
  dup?: boolean;
  retain?: boolean;
}

/** Section 1.5.3: two bytes of length, then the text. */
export function text(value: Text): number[] {
  const bytes = Buffer.from(value);
  return [...twoBytes(bytes.length), ...bytes];
}

/** Section 2.2: type and flags, the remaining length, the rest. */
export function packet(first: number, body: readonly number[] = []): Buffer {
  const length: number[] = [];
  for (let rest = body.length; ; rest >>= 7) {
    length.push((rest & 127) | (rest > 127 ? 128 : 0));
    if (rest <= 127) return Buffer.from([first, ...length, ...body]);
  }
}

export function connect(clientId: Text, fields: ConnectFields = {}): Buffer {
  const { clean = true, keepaliveS = 60, will, username, password } = fields;
  const willFlags = will ? 4 | ((will.qos ?? 0) << 3) | (will.retain ? 32 : 0) : 0;
  const flags =
    (clean ? 2 : 0) | willFlags | (password === undefined ? 0 : 64) | (username === undefined ? 0 : 128);
  return connectOf(
    flags,
    [
      ...text(clientId),
      ...(will ? [...text(will.topic), ...text(will.payload)] : []),
      ...(username === undefined ? [] : text(username)),
      ...(password === undefined ? [] : text(password)),
    ],
    keepaliveS,
  );
}

/** A CONNECT whose flags and payload need not fit. */
export function connectOf(flags: number, payload: readonly number[], keepaliveS = 60): Buffer {
  return packet(0x10, [...text('MQTT'), 4, flags, ...twoBytes(keepaliveS), ...payload]);
}

export function publish(topic: Text, payload: Text, fields: PublishFields = {}): Buffer {
  const { qos = 0, id = 1, dup = false, retain = false } = fields;
  const flags = (dup ? 8 : 0) | (qos << 1) | (retain ? 1 : 0);
  return packet(0x30 | flags, [...text(topic), ...(qos ? twoBytes(id) : []), ...Buffer.from(payload)]);
}

export function subscribe(id: number, ...filters: ReadonlyArray<readonly [Text, Qos]>): Buffer {
  return packet(0x82, [...twoBytes(id), ...filters.flatMap(([filter, qos]) => [...text(filter), qos])]);
}

export function unsubscribe(id: number, ...filters: readonly Text[]): Buffer {
  return packet(0xa2, [...twoBytes(id), ...filters.flatMap(text)]);
}

export function connack(code = 0, sessionPresent = false): Buffer {
  return packet(0x20, [sessionPresent ? 1 : 0, code]);
}

export function suback(id: number, ...codes: readonly number[]): Buffer {
  return packet(0x90, [...twoBytes(id), ...codes]);
}

export const unsuback = (id: number): Buffer => packet(0xb0, twoBytes(id));
export const puback = (id: number): Buffer => packet(0x40, twoBytes(id));
export const pubrec = (id: number): Buffer => packet(0x50, twoBytes(id));
export const pubrel = (id: number): Buffer => packet(0x62, twoBytes(id));
export const pubcomp = (id: number): Buffer => packet(0x70, twoBytes(id));
export const PINGREQ = packet(0xc0);
export const PINGRESP = packet(0xd0);
export const DISCONNECT = packet(0xe0);

function twoBytes(value: number): number[] {
  return [value >> 8, value & 255];
}

/** The whole packets at the start of what was received, in hex. */
export function splitPackets(received: string): string[] {
  const bytes = Buffer.from(received, 'hex');
  const packets: string[] = [];
  for (let at = 0; at + 1 < bytes.length; ) {
    let length = 0;
    let end = at + 1;
    for (let shift = 0; end < bytes.length; shift += 7) {
      const byte = bytes[end++] ?? 0;
      length |= (byte & 127) << shift;
      if (byte < 128) break;
    }
    end += length;
    if (end > bytes.length) break;
    packets.push(bytes.toString('hex', at, end));
    at = end;
  }
  return packets;
}
