/** Entry of a decode thread: one message at a time, answered in columns whose buffers are transferred. */
import { parentPort } from 'node:worker_threads';
import { systemClock } from '../../shared/clock.ts';
import type { DecodeReply, DecodeRequest } from './decode-protocol.ts';
import { decodeMessage } from './decoder.ts';

if (parentPort === null) throw new Error('router/ingest/decode-worker is a thread entry');
const port = parentPort;

function post(reply: DecodeReply, transfer: ArrayBuffer[] = []): void {
  port.postMessage(reply, transfer);
}

port.on('message', ({ bytes, limits, contentKey }: DecodeRequest) => {
  const startedMs = systemClock.monoMs();
  const decoded = decodeMessage(bytes, limits, contentKey);
  const ms = systemClock.monoMs() - startedMs;
  if ('reason' in decoded) return post({ kind: 'answer', decoded, ms });
  const { records, gaps } = decoded;
  const body = ownBuffer(decoded.body);
  post({ kind: 'answer', decoded: { ...decoded, body }, ms }, [records.buffer, gaps.buffer, body.buffer]);
});

post({ kind: 'ready' });

/** A small buffer shares a block with others, which cannot be transferred. */
function ownBuffer(body: Uint8Array): Uint8Array<ArrayBuffer> {
  const { buffer, byteOffset, byteLength } = body;
  if (buffer instanceof ArrayBuffer && buffer.byteLength !== Buffer.poolSize)
    return new Uint8Array(buffer, byteOffset, byteLength);
  return new Uint8Array(body);
}
