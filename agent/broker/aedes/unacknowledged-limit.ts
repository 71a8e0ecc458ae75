/**
 * The unacknowledged packets of a client are bounded (I10). aedes 1.2.0 is meant to read a chunk when the
 * packets of the previous one are answered, but it counts each arrival of bytes as an answer: with packets
 * that arrive one by one, it reads on without bound while they wait for the disk. Here its read returns
 * nothing while too much is unanswered, and the last answer resumes reading. Ordinary clients have smaller
 * windows and never reach the limit. A client over its packet rate is not read either, until it may be.
 */
import type { Client } from 'aedes';
import type { Clock, Timer } from '../../../shared/clock.ts';
import type { CostlyPacket, PacketRate } from '../rates/packet-rate.ts';

const PACKETS_MAX = 1000;
/** Bytes received since the client last had no unanswered packet. */
const BYTES_MAX = 2 ** 20;

export interface ReadLimits {
  clock: Clock;
  rate: PacketRate;
  /** Bytes were read. */
  onRead(): void;
  /** The client went over its packet rate. */
  onSlowed(): void;
}

/**
 * Call before the client has read anything. `isHeldBack` tells whether reading from the client is paused.
 */
export function limitUnacknowledged(
  client: Client,
  { clock, rate, onRead, onSlowed }: ReadLimits,
): { isHeldBack(): boolean } {
  const { conn } = client;
  const answer: unknown = Reflect.get(client, '_nextBatch');
  const parser: unknown = Reflect.get(client, '_parser');
  if (typeof answer !== 'function' || !isEmitter(parser)) {
    throw new Error('aedes changed: no packets and answers to count');
  }
  let packets = 0;
  let bytes = 0;
  let pause: Timer | null = null;
  // Before aedes' own listener, which may answer at once.
  parser.prependListener('packet', (packet) => {
    packets += 1;
    bytes += packet.length;
    rate.took(packet);
  });
  Reflect.set(client, '_nextBatch', (...result: unknown[]) => {
    // aedes calls it once per connection without a packet.
    packets = Math.max(0, packets - 1);
    if (packets === 0) bytes = 0;
    Reflect.apply(answer, client, result);
  });
  const isFull = (): boolean => packets > 0 && (packets >= PACKETS_MAX || bytes >= BYTES_MAX);
  const isHeldBack = (): boolean => pause !== null || isFull();
  const isPaused = (): boolean => {
    const waitMs = pause === null ? rate.waitMs() : 0;
    if (waitMs === 0) return pause !== null;
    onSlowed();
    pause = clock.setTimer(waitMs, () => {
      pause = null;
      if (!conn.destroyed) conn.emit('readable');
    });
    return true;
  };
  conn.once('close', () => pause?.cancel());
  const read = conn.read.bind(conn);
  conn.read = (size?: number) => {
    if (size !== 0 && (isPaused() || isFull())) return null;
    const found: unknown = read(size);
    if (found !== null) onRead();
    return found;
  };
  return { isHeldBack };
}

interface Emitter {
  prependListener(event: 'packet', listener: (packet: CostlyPacket & { length: number }) => void): void;
}

function isEmitter(value: unknown): value is Emitter {
  return (
    typeof value === 'object' && value !== null && typeof Reflect.get(value, 'prependListener') === 'function'
  );
}
