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
import type { Clock } from '../../../shared/clock.ts';
import { syncFolder } from '../../../shared/sync-folder.ts';
import { within } from '../../../shared/within.ts';
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

/** For one batch: a disk or a reader that is silent for longer is reported. */
const BATCH_DEADLINE_MS = 30_000;

/** `file: "-"` writes to `stdout`. */
export function openNdjsonSink({ file }: NdjsonFeedOptions, stdout: Writable, clock: Clock): FeedSink {
  return file === '-' ? new StreamSink(stdout, clock) : new FileSink(file, clock);
}

/**
 * Stops waiting after a while, but not the work, which nothing can end: the next wait is for the same work,
 * so that a silent disk or pipe gets one batch and not one more with every try.
 */
class PatientWork {
  readonly #clock: Clock;
  readonly #abandoned = Promise.withResolvers<never>();
  #work: { offset: number; result: Promise<number> } | null = null;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#abandoned.promise.catch(() => undefined);
  }

  async run(records: readonly LedgerRecord[], begin: () => Promise<number>): Promise<number> {
    const offset = records[0]?.offset ?? 0;
    // Earlier work on other records must not mix with these.
    if (this.#work && this.#work.offset !== offset) await this.#patience(this.#work.result.catch(() => 0));
    if (this.#work?.offset !== offset) this.#work = { offset, result: begin() };
    const work = this.#work;
    const over = (): void => {
      if (this.#work === work) this.#work = null;
    };
    work.result.then(over, over);
    return this.#patience(work.result);
  }

  /** Ends the waits. */
  abandon(): void {
    this.#abandoned.reject(new Error('the feed was stopped'));
  }

  #patience(work: Promise<number>): Promise<number> {
    return within(this.#clock, BATCH_DEADLINE_MS, Promise.race([work, this.#abandoned.promise]), () => {
      throw new Error(`not written within ${BATCH_DEADLINE_MS / 1000} s`);
    });
  }
}

class FileSink implements FeedSink {
  readonly #path: string;
  readonly #work: PatientWork;

  constructor(path: string, clock: Clock) {
    this.#path = path;
    this.#work = new PatientWork(clock);
  }

  write(records: readonly LedgerRecord[]): Promise<number> {
    return this.#work.run(records, () => this.#append(records));
  }

  async #append(records: readonly LedgerRecord[]): Promise<number> {
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
    this.#work.abandon();
  }
}

class StreamSink implements FeedSink {
  readonly #stream: Writable;
  readonly #work: PatientWork;

  constructor(stream: Writable, clock: Clock) {
    this.#stream = stream;
    this.#work = new PatientWork(clock);
    stream.on('error', alreadyReported);
  }

  write(records: readonly LedgerRecord[]): Promise<number> {
    return this.#work.run(records, () => this.#print(records));
  }

  #print(records: readonly LedgerRecord[]): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#stream.write(lines(records), (error) => {
        if (error) reject(error);
        else resolve(records.length);
      });
    });
  }

  async close(): Promise<void> {
    this.#work.abandon();
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

/** The callback of the write reports the error; without this listener it would also end the process. */
function alreadyReported(): void {
  return;
}
