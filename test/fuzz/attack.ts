/** One hostile connection, played as its script says. */
import { connect, type Socket } from 'node:net';
import type { Clock } from '../../shared/clock.ts';
import type { Script } from './script.ts';

const ANSWER_MS_MAX = 200;
/** What is still unread when a reset arrives is thrown away by the kernel: first it shall be read. */
const BEFORE_RESET_MS = 5;
const LINGER_MS = 100;
const CLOSE_MS_MAX = 2000;

/** Resolves when the connection is over; `onPacket` is told each packet's index before it is sent. */
export async function attack(
  { port, clock, onPacket }: { port: number; clock: Clock; onPacket: (index: number) => void },
  script: Script,
): Promise<void> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  socket.on('error', () => undefined); // A reset is one way for a connection to end.
  const over = new AbortController();
  const closed = new Promise<void>((resolve) => {
    socket.once('close', () => {
      over.abort();
      resolve();
    });
  });
  const answered = new AbortController();
  socket.once('data', () => answered.abort());
  if (script.isDeaf) socket.pause();
  const answer = AbortSignal.any([over.signal, answered.signal]);
  for (const [index, packet] of script.packets.entries()) {
    if (socket.destroyed) break;
    onPacket(index);
    await write(socket, packet, script.chunkBytes, clock);
    if (index === 0 && script.isPatient && !script.isDeaf) await clock.sleep(ANSWER_MS_MAX, answer);
  }
  await leave(socket, script, { clock, signal: over.signal });
  await closed;
}

async function write(socket: Socket, packet: Uint8Array, chunkBytes: number, clock: Clock): Promise<void> {
  for (let at = 0; at < packet.length && socket.writable; at += chunkBytes) {
    socket.write(packet.subarray(at, at + chunkBytes));
    // Long packets in few pieces: more would only take time.
    if (chunkBytes < packet.length && packet.length < 400) await clock.sleep(0);
  }
}

async function leave(
  socket: Socket,
  { leaving, isDeaf }: Script,
  { clock, signal }: { clock: Clock; signal: AbortSignal },
): Promise<void> {
  if (leaving === 'end' && !isDeaf) {
    socket.end();
    await clock.sleep(CLOSE_MS_MAX, signal);
  } else {
    await clock.sleep(leaving === 'reset' ? BEFORE_RESET_MS : LINGER_MS, signal);
  }
  socket.resetAndDestroy();
}
