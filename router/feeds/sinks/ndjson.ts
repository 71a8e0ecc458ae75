/**
 * Newline-delimited JSON, one object per record, appended to a file or written to stdout.
 *
 * The sink opens the file for each batch, so that a log rotator may rename it at any time. A crash or a full
 * disk can leave half a line at the end. Its record is above the feed's position and comes again, so the sink
 * cuts the half line off first.
 */
import { type FileHandle, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Writable } from 'node:stream';
import { z } from 'zod';
import type { LedgerRecord } from '../../ledger/types.ts';
import type { FeedSink } from '../sink.ts';
import { recordJson } from './record-json.ts';

export const ndjsonFeedOptions = z
  .strictObject({
    file: z
      .string()
      .min(1)
      .describe(
        'File that records are appended to; "-" is stdout. Its folder must exist. It may be rotated by renaming.',
      ),
  })
  .describe('One JSON object per record and line.');

export type NdjsonFeedOptions = z.output<typeof ndjsonFeedOptions>;

const NEWLINE = 0x0a;
const TAIL_CHUNK_BYTES = 4096;

/** `file: "-"` writes to `stdout`. */
export function openNdjsonSink({ file }: NdjsonFeedOptions, stdout: Writable): FeedSink {
  return file === '-' ? new StreamSink(stdout) : new FileSink(file);
}

class FileSink implements FeedSink {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  async write(records: readonly LedgerRecord[]): Promise<number> {
    const file = await open(this.#path, 'a+');
    try {
      const { size } = await file.stat();
      await cutHalfLine(file, size);
      await file.appendFile(lines(records));
      await file.sync();
    } finally {
      await file.close();
    }
    await syncFolder(dirname(this.#path));
    return records.length;
  }

  async close(): Promise<void> {
    await Promise.resolve();
  }
}

class StreamSink implements FeedSink {
  readonly #stream: Writable;
  #abandon: ((reason: Error) => void) | null = null;

  constructor(stream: Writable) {
    this.#stream = stream;
    stream.on('error', alreadyReported);
  }

  write(records: readonly LedgerRecord[]): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#abandon = reject;
      this.#stream.write(lines(records), (error) => {
        if (error) reject(error);
        else resolve(records.length);
      });
    });
  }

  async close(): Promise<void> {
    this.#abandon?.(new Error('the feed was stopped'));
  }
}

function lines(records: readonly LedgerRecord[]): string {
  return records.map((record) => `${recordJson(record)}\n`).join('');
}

/** Truncates `file` to the end of its last whole line. */
async function cutHalfLine(file: FileHandle, size: number): Promise<void> {
  let end = size;
  while (end > 0) {
    const start = Math.max(0, end - TAIL_CHUNK_BYTES);
    const chunk = Buffer.alloc(end - start);
    await file.read(chunk, 0, chunk.length, start);
    const newline = chunk.lastIndexOf(NEWLINE);
    end = start + newline + 1;
    if (newline >= 0) break;
  }
  if (end < size) await file.truncate(end);
}

/** A new file survives a power cut only when its folder was synced too. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/** The callback of the write reports the error; without this listener it would also end the process. */
function alreadyReported(): void {
  return;
}
