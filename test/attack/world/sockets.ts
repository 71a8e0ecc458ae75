/** Connections of an attacker: bytes that no library sends, at any pace. */
import { connect, type Socket } from 'node:net';

interface LineOptions {
  port: number;
  host?: string;
  localAddress?: string;
}

/** Resolves when the socket is closed, with or without an error. */
export function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    if (socket.closed) resolve();
    else socket.once('close', () => resolve());
  });
}

/** A TCP connection that says nothing by itself; it may have ended already. */
export async function line({ port, host = '127.0.0.1', localAddress }: LineOptions): Promise<Socket> {
  const socket = connect({ port, host, ...(localAddress === undefined ? {} : { localAddress }) });
  socket.on('error', () => undefined);
  socket.resume();
  await Promise.race([new Promise((resolve) => socket.once('connect', resolve)), closed(socket)]);
  return socket;
}

/** Many of them, some at a time. */
export async function lines(count: number, options: LineOptions): Promise<Socket[]> {
  const made: Socket[] = [];
  while (made.length < count) {
    const batch = Math.min(50, count - made.length);
    made.push(...(await Promise.all(Array.from({ length: batch }, () => line(options)))));
  }
  return made;
}

/** All that the other side sent until it ended the connection, at most `bytesMax`. */
export async function answerTo(options: LineOptions, bytes: Uint8Array): Promise<string> {
  const socket = connect({ host: '127.0.0.1', ...options });
  let text = '';
  socket.on('error', () => undefined);
  socket.setEncoding('latin1').on('data', (chunk: string) => {
    text += chunk;
  });
  socket.write(bytes);
  await closed(socket);
  return text;
}

/** The start of a TLS 1.2 record that holds a ClientHello, cut in the middle of it. */
export const HALF_CLIENT_HELLO = Buffer.from([
  ...[0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03],
  ...Array<number>(32).fill(0x5a),
]);
