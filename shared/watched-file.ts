/**
 * A file that an operator edits while the program runs: read at the start, and again after each change. What
 * was read last stays in force until the next read that succeeds. No fault of the file ends the program (I9).
 */
import { stat } from 'node:fs/promises';
import type { Clock, Timer } from './clock.ts';
import { errorText } from './log.ts';
import type { Service } from './service.ts';
import { within } from './within.ts';

const POLL_MS = 5000;
/** A disk that does not answer holds up neither a start nor a stop for longer. */
const READ_MS_MAX = 5000;

export interface WatchedFileOptions {
  /** Null: several files, which are read at each look. */
  file: string | null;
  /**
   * Reads, and puts in force. Returns the fault of the content, for people, which lasts until the file
   * changes; null without one. Rejects when it could not read: it is called again at the next look.
   */
  take(): Promise<string | null>;
  /** Called once for each fault, and again when it comes back. */
  onProblem(problem: string): void;
  clock: Clock;
}

export class WatchedFile implements Service {
  readonly #options: WatchedFileOptions;
  /** Of the file at the last read. */
  #stamp = '';
  /** The fault that was told last; empty when there was none since. */
  #told = '';
  #poll: Timer | null = null;
  #reading: Promise<void> | null = null;

  constructor(options: WatchedFileOptions) {
    this.#options = options;
  }

  /** Resolves after the first read, also when it found a fault. */
  async start(): Promise<void> {
    await this.#waitFor(this.read(), () => this.#tell(`not read within ${READ_MS_MAX} ms`));
    this.#poll = this.#options.clock.every(POLL_MS, () => void this.read());
  }

  /** Waits for a read in flight: nothing is put in force after it. */
  async stop(): Promise<void> {
    this.#poll?.cancel();
    this.#poll = null;
    if (this.#reading !== null) await this.#waitFor(this.#reading, () => undefined);
  }

  /** Reads where the file has changed; one read at a time. Never rejects. */
  read(): Promise<void> {
    this.#reading ??= this.#look().finally(() => {
      this.#reading = null;
    });
    return this.#reading;
  }

  #waitFor(reading: Promise<void>, late: () => void): Promise<void> {
    return within(this.#options.clock, READ_MS_MAX, reading, late);
  }

  async #look(): Promise<void> {
    const { file, take } = this.#options;
    try {
      const stamp = file === null ? '' : await stampOf(file);
      if (stamp !== '' && stamp === this.#stamp) return;
      this.#tell((await take()) ?? '');
      this.#stamp = stamp;
    } catch (error) {
      this.#stamp = '';
      this.#tell(errorText(error));
    }
  }

  #tell(problem: string): void {
    if (problem === this.#told) return;
    this.#told = problem;
    if (problem !== '') this.#options.onProblem(problem);
  }
}

/** Inode, size and change time: another text for another content. Rejects as stat(2) does. */
async function stampOf(file: string): Promise<string> {
  const { ino, size, mtimeNs } = await stat(file, { bigint: true });
  return `${ino} ${size} ${mtimeNs}`;
}
