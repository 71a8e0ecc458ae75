/**
 * The unacknowledged packets of a client are bounded (I10). aedes 1.2.0 is meant to read a chunk when the
 * packets of the previous one are answered, but it counts each arrival of bytes as an answer: with packets
 * that arrive one by one, it reads on without bound while they wait for the disk. Here its read returns
 * nothing while too much is unanswered, and the last answer resumes reading. Ordinary clients have smaller
 * windows and never reach the limit.
 */
import type { Client } from 'aedes';

const PACKETS_MAX = 1000;
/** Bytes received since the client last had no unanswered packet. */
const BYTES_MAX = 2 ** 20;

/**
 * Call before the client has read anything. `onRead` is called when bytes were read. `isHeldBack` tells
 * whether reading from the client is paused.
 */
export function limitUnacknowledged(client: Client, onRead: () => void): { isHeldBack(): boolean } {
  const { conn } = client;
  const answer: unknown = Reflect.get(client, '_nextBatch');
  const parser: unknown = Reflect.get(client, '_parser');
  if (typeof answer !== 'function' || !isEmitter(parser)) {
    throw new Error('aedes changed: no packets and answers to count');
  }
  let packets = 0;
  let bytes = 0;
  // Before aedes' own listener, which may answer at once.
  parser.prependListener('packet', ({ length }) => {
    packets += 1;
    bytes += length;
  });
  Reflect.set(client, '_nextBatch', (...result: unknown[]) => {
    // aedes calls it once per connection without a packet.
    packets = Math.max(0, packets - 1);
    if (packets === 0) bytes = 0;
    Reflect.apply(answer, client, result);
  });
  const isHeldBack = (): boolean => packets > 0 && (packets >= PACKETS_MAX || bytes >= BYTES_MAX);
  const read = conn.read.bind(conn);
  conn.read = (size?: number) => {
    if (isHeldBack() && size !== 0) return null;
    const found: unknown = read(size);
    if (found !== null) onRead();
    return found;
  };
  return { isHeldBack };
}

interface Emitter {
  prependListener(event: 'packet', listener: (packet: { length: number }) => void): void;
}

function isEmitter(value: unknown): value is Emitter {
  return (
    typeof value === 'object' && value !== null && typeof Reflect.get(value, 'prependListener') === 'function'
  );
}
