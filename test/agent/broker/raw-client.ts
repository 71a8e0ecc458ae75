/**
 * An MQTT 3.1.1 client that sends exactly the given bytes, for packets that a library's client would never
 * send.
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { until } from '../../until.ts';

export const CONNACK_OK = '20020000';
const PINGRESP = 'd000';

export class RawClient {
  readonly #socket: Socket;
  #received = '';

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('error', () => undefined); // A reset is one way for a connection to end; `ended` tells.
    socket.setEncoding('hex').on('data', (hex: string) => {
      this.#received += hex;
    });
  }

  static async open(port: number): Promise<RawClient> {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    await once(socket, 'connect');
    return new RawClient(socket);
  }

  /** Everything received so far, in hex. */
  get received(): string {
    return this.#received;
  }

  /** Whether the server ended the connection. */
  get ended(): boolean {
    return this.#socket.destroyed || this.#socket.readableEnded;
  }

  send(bytes: Uint8Array): void {
    this.#socket.write(bytes);
  }

  /**
   * Sends PINGREQ and waits for its PINGRESP, which {@link received} leaves out. The broker has then
   * answered all that was sent before: aedes answers in order.
   */
  async roundTrip(): Promise<void> {
    const before = this.#received.length;
    this.send(Uint8Array.from([0xc0, 0]));
    await until('PINGRESP', () => this.#received.length > before && this.#received.endsWith(PINGRESP));
    this.#received = this.#received.slice(0, -PINGRESP.length);
  }

  close(): void {
    this.#socket.destroy();
  }
}

/**
 * Lets a broker's event loop turn until it has read its input and written its output: the client pings again
 * and again.
 */
export async function loopTurns(port: number): Promise<void> {
  const client = await RawClient.open(port);
  client.send(connectPacket('loop-turns', true));
  await until('CONNACK', () => client.received === CONNACK_OK);
  for (let turn = 0; turn < 20; turn++) await client.roundTrip();
  client.close();
}

export function connectPacket(clientId: string, clean: boolean, extra = ''): Uint8Array {
  const flags = clean ? 2 : 0;
  return packet(0x10, [...text('MQTT'), 4, flags, 0, 60, ...text(clientId), ...Buffer.from(extra)]);
}

/** A clean session of a device with a password. */
export function loginPacket(name: string, password: string, keepaliveS: number): Uint8Array {
  const credentials = [...text(name), ...text(name), ...text(password)];
  return packet(0x10, [...text('MQTT'), 4, 0xc2, keepaliveS >> 8, keepaliveS & 0xff, ...credentials]);
}

export function publishPacket(
  topic: string,
  payload: string,
  { qos = 0, messageId = 1, dup = false }: { qos?: 0 | 1 | 2; messageId?: number; dup?: boolean } = {},
): Uint8Array {
  const id = qos === 0 ? [] : [messageId >> 8, messageId & 0xff];
  return packet(0x30 | (dup ? 8 : 0) | (qos << 1), [...text(topic), ...id, ...Buffer.from(payload)]);
}

export function pubrelPacket(messageId: number): Uint8Array {
  return packet(0x62, [messageId >> 8, messageId & 0xff]);
}

function text(value: string): number[] {
  const bytes = Buffer.from(value);
  return [bytes.length >> 8, bytes.length & 0xff, ...bytes];
}

/** Fixed header with the remaining length as a variable byte integer, section 2.2.3. */
function packet(type: number, body: number[]): Uint8Array {
  const length: number[] = [];
  for (let rest = body.length; ; rest = Math.floor(rest / 128)) {
    length.push((rest % 128) | (rest >= 128 ? 128 : 0));
    if (rest < 128) break;
  }
  return Uint8Array.from([type, ...length, ...body]);
}
