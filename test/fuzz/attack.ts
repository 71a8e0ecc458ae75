/** One hostile connection, played as its script says. */
import type { Duplex } from 'node:stream';
import type { Clock } from '../../shared/clock.ts';
import type { Script } from './script.ts';
import type { Line } from './transport.ts';

const ANSWER_MS_MAX = 200;
/** The kernel drops unread input when a reset arrives: the input is read first. */
const BEFORE_RESET_MS = 5;
const LINGER_MS = 100;
const CLOSE_MS_MAX = 2000;

/** Resolves when the connection is over; `onPacket` is told each packet's index before it is sent. */
export async function attack(
  { clock, onPacket }: { clock: Clock; onPacket: (index: number) => void },
  { stream, socket }: Line,
  script: Script,
): Promise<void> {
  const over = new AbortController();
  const closed = new Promise<void>((resolve) => {
    const end = (): void => {
      over.abort();
      resolve();
    };
    if (socket.closed) end();
    socket.once('close', end);
    // A reset that fails, because the end of the connection is on its way already, is told by an error alone.
    socket.once('error', end);
  });
  const answered = new AbortController();
  stream.once('data', () => answered.abort());
  if (script.isDeaf) stream.pause();
  const answer = AbortSignal.any([over.signal, answered.signal]);
  for (const [index, packet] of script.packets.entries()) {
    if (socket.destroyed) break;
    onPacket(index);
    await write(stream, packet, script.chunkBytes, clock);
    if (index === 0 && script.isPatient && !script.isDeaf) await clock.sleep(ANSWER_MS_MAX, answer);
  }
  await leave({ stream, socket }, script, { clock, signal: over.signal });
  await closed;
}

async function write(stream: Duplex, packet: Uint8Array, chunkBytes: number, clock: Clock): Promise<void> {
  for (let at = 0; at < packet.length && stream.writable; at += chunkBytes) {
    stream.write(packet.subarray(at, at + chunkBytes));
    // Long packets in few pieces: more would only take time.
    if (chunkBytes < packet.length && packet.length < 400) await clock.sleep(0);
  }
}

async function leave(
  { stream, socket }: Line,
  { leaving, isDeaf }: Script,
  { clock, signal }: { clock: Clock; signal: AbortSignal },
): Promise<void> {
  if (leaving === 'end' && !isDeaf) {
    stream.end();
    await clock.sleep(CLOSE_MS_MAX, signal);
  } else {
    await clock.sleep(leaving === 'reset' ? BEFORE_RESET_MS : LINGER_MS, signal);
  }
  // Node.js leaks the handle of a reset that fails, as it does once the own end is on its way: the socket
  // never closes, and the process spins for ever when it wants to end.
  // With TLS and WebSocket the stream's own end says so first.
  if (stream.writableEnded || socket.writableEnded) socket.destroy();
  else socket.resetAndDestroy();
}
