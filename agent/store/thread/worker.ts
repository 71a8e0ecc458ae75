/**
 * Entry of the thread that owns the buffer's file, so that a slow disk never delays the broker or the health
 * clock. It answers calls one at a time, in order. After any failure it closes the file, reports the failure
 * and ends: a failed sync is not repeated on the same open file, because the kernel may have dropped the
 * unwritten pages.
 */
import { readFileSync } from 'node:fs';
import { parentPort } from 'node:worker_threads';
import { errorText } from '../../../shared/error-text.ts';
import { DiskWatch } from '../file/disk-watch.ts';
import type { Calls, Reply, Request } from '../protocol.ts';
import { StoreError } from '../types.ts';
import { BufferDatabase } from './database.ts';

if (parentPort === null) throw new Error('agent/store/worker is a thread entry');
const port = parentPort;
const THREAD_IO_FILE = '/proc/thread-self/io';
let database: BufferDatabase | null = null;
let disk: DiskWatch | null = null;

function opened(): BufferDatabase {
  if (database === null) throw new Error('the buffer is not open');
  return database;
}

function answer(request: Request): Calls[keyof Calls]['result'] {
  switch (request.call) {
    case 'open': {
      const { file, suffix, clock, limits, key, gateway, reserveBytes, device, isDiskFull } =
        request.argument;
      disk = new DiskWatch({ file, reserveBytes, device });
      disk.beforeOpening();
      if (isDiskFull) disk.releaseReserve();
      database = new BufferDatabase(file, suffix, clock, limits, { key, gateway });
      return { ...database.opened(), device: disk.opened(), hasRoom: disk.hasRoom() };
    }
    case 'commit':
      return committed(request.argument);
    case 'read':
      return opened().read(request.argument);
    case 'tidy':
      return tidied(request.argument.isIdle);
    case 'close':
      opened().close();
      return null;
  }
}

function committed({ records, operations }: Calls['commit']['argument']): Calls['commit']['result'] {
  const result = opened().commit(records, operations);
  // Detaches the transferred buffers now: this thread creates so little garbage that it is rarely collected.
  records.payloads.buffer.transfer(0);
  records.numbers.buffer.transfer(0);
  return result;
}

function tidied(isIdle: boolean): Calls['tidy']['result'] {
  const hasRoom = disk?.hasRoom() ?? true;
  if (!hasRoom) opened().relieve();
  else if (isIdle) opened().vacuum();
  return { writtenBytes: writtenBytes(), hasRoom };
}

/**
 * Bytes that this thread wrote to the disk, by the kernel's count; proc_pid_io(5). Null where the kernel does
 * not report it. A failed read never fails the buffer: the process may have no file descriptor left.
 */
function writtenBytes(): number | null {
  try {
    const found = /^write_bytes: (\d+)$/m.exec(readFileSync(THREAD_IO_FILE, 'utf8'));
    return found ? Number(found[1]) : null;
  } catch {
    return null; // The next call, in a second, tries again.
  }
}

function post(reply: Reply): void {
  const read = reply.kind === 'done' && reply.result && 'payloads' in reply.result ? reply.result : null;
  port.postMessage(reply, read ? [read.payloads.buffer, read.numbers.buffer] : []);
}

function fail(id: number, error: unknown): void {
  let message = errorText(error);
  try {
    database?.close();
  } catch (closeError) {
    message += `; closing it failed too: ${errorText(closeError)}`;
  }
  const code = error instanceof StoreError ? error.code : 'failed';
  post({ id, kind: 'failed', code, disk: disk?.stateAfter(error) ?? 'failed', message });
  port.close();
}

port.on('message', (request: Request) => {
  try {
    post({ id: request.id, kind: 'done', result: answer(request) });
    if (request.call === 'close') port.close();
  } catch (error) {
    fail(request.id, error);
  }
});
