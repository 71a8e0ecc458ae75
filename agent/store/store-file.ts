/**
 * The store's file over several openings. A thread has it open; a failed thread is ended, and after a pause
 * that grows another thread opens the file again, because a disk may come back at any time (I9).
 */
import { Backoff } from '../../shared/backoff.ts';
import type { Clock } from '../../shared/clock.ts';
import type { Entropy } from '../../shared/entropy.ts';
import { errorText } from '../../shared/error-text.ts';
import { EXIT } from '../../shared/exit-codes.ts';
import type { FileKey } from '../../shared/sqlite/open.ts';
import { StartRefused } from '../../shared/start-refused.ts';
import type { DiskHealth } from './disk-health.ts';
import type { StoreLimits } from './limits.ts';
import type { Calls, OpenArgument, Opened } from './protocol.ts';
import { openThread, type StoreThread } from './thread/thread.ts';
import { StoreError, type StoreErrorCode } from './types.ts';

/** No restart helps. */
const LASTING: ReadonlySet<StoreErrorCode> = new Set(['encrypted', 'newer-schema', 'foreign']);
const REOPEN_PAUSE = { firstMs: 1000, lastMs: 30_000 };

export interface StoreFileParts {
  file: string;
  key?: FileKey | null;
  gateway?: string | null;
  clock: Clock;
  entropy: Entropy;
  /** Those of the next opening. */
  limits(): StoreLimits;
  disk: DiskHealth;
  /** The clock of the epoch that the opening begins. */
  epochClock(): OpenArgument['clock'];
  /** The file is open, for the first time or again. */
  onOpened(opened: Opened): void;
  /** Called after `onOpened` when the file had failed before, also at the start. */
  onReopened(): void;
  /** The file is closed by a failure. */
  onFailed(error: StoreError): void;
}

export class StoreFile {
  readonly #parts: StoreFileParts;
  readonly #stopping = new AbortController();
  readonly #backoff: Backoff;
  /** Null while the file is closed. */
  #thread: StoreThread | null = null;
  #reopening: Promise<void> = Promise.resolve();

  constructor(parts: StoreFileParts) {
    this.#parts = parts;
    this.#backoff = new Backoff(REOPEN_PAUSE, parts.entropy);
  }

  get path(): string {
    return this.#parts.file;
  }

  get isOpen(): boolean {
    return this.#thread !== null;
  }

  get isStopping(): boolean {
    return this.#stopping.signal.aborted;
  }

  /**
   * Opens or creates the file. False when the disk refuses; it is then retried until {@link endReopening}.
   * Rejects with a StoreError when another process has the file, and with StartRefused where only another
   * configuration or version helps: a wrong key, a file of a newer version or of another gateway.
   */
  async open(): Promise<boolean> {
    const { disk } = this.#parts;
    try {
      await this.#open().catch((error: StoreError) => {
        if (error.disk !== 'disk-full') throw error;
        disk.failed(error);
        // Now without the reserve.
        return this.#open();
      });
      return true;
    } catch (error) {
      if (!(error instanceof StoreError) || error.code !== 'failed') throw refusalOf(error);
      disk.failed(error);
      this.#reopening = this.#reopen(null);
      return false;
    }
  }

  /** Rejects with a StoreError while the file is closed, and when this call makes it fail. */
  async call<Name extends keyof Calls>(
    name: Name,
    argument: Calls[Name]['argument'],
    transfer: ArrayBuffer[] = [],
  ): Promise<Calls[Name]['result']> {
    const thread = this.#thread;
    if (!thread) throw this.notOpen();
    try {
      return await thread.call(name, argument, transfer);
    } catch (error) {
      this.#failed(thread, error instanceof StoreError ? error : new StoreError('failed', errorText(error)));
      throw error;
    }
  }

  /** Records were committed: the disk works, and the next failure is the first in a row. */
  proven(): void {
    this.#backoff.reset();
  }

  /** The error for calls while the file is closed. */
  notOpen(): StoreError {
    return this.#parts.disk.notOpen(this.isStopping);
  }

  /** Stops reopening the file. Resolves when the attempt under way has ended. */
  async endReopening(): Promise<void> {
    this.#stopping.abort();
    await this.#reopening;
  }

  async close(): Promise<void> {
    const thread = this.#thread;
    this.#thread = null;
    if (thread) await thread.call('close', null).finally(() => thread.end());
  }

  /** The calls of one thread fail together; the first failure counts. */
  #failed(thread: StoreThread, error: StoreError): void {
    if (this.#thread !== thread) return;
    this.#thread = null;
    this.#parts.disk.failed(error);
    this.#parts.onFailed(error);
    this.#reopening = this.#reopen(thread);
  }

  async #reopen(ended: StoreThread | null): Promise<void> {
    const { clock, disk, onReopened } = this.#parts;
    await ended?.end();
    while (!this.isStopping) {
      const pauseMs = this.#backoff.failed();
      await clock.sleep(pauseMs, this.#stopping.signal);
      if (this.isStopping) return;
      try {
        await this.#open();
        onReopened();
        return;
      } catch (error) {
        disk.stillFails(error, Math.round(pauseMs));
      }
    }
  }

  async #open(): Promise<void> {
    const { file, key = null, gateway = null, entropy, limits, disk, epochClock, onOpened } = this.#parts;
    const suffix = Buffer.from(entropy.bytes(4)).toString('hex');
    const { thread, opened } = await openThread({
      file,
      suffix,
      clock: epochClock(),
      limits: limits(),
      key,
      gateway,
      ...disk.forOpening(),
    });
    this.#thread = thread;
    onOpened(opened);
    disk.opened(opened);
  }
}

function refusalOf(error: unknown): unknown {
  const isLasting = error instanceof StoreError && LASTING.has(error.code);
  return isLasting ? new StartRefused(error.message, EXIT.config, error) : error;
}
