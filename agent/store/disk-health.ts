/** The state of the disk under the store's file. Each change of state is logged with advice (I9). */
import { dirname } from 'node:path';
import { errorText, type Logger } from '../../shared/log.ts';
import { DISK_ADVICE, type DiskState } from './disk-state.ts';
import type { OpenArgument, Opened } from './protocol.ts';
import { StoreError, type StoreOptions } from './types.ts';

export class DiskHealth {
  readonly #reserveBytes: number;
  readonly #folder: string;
  readonly #log: Logger;
  /** Device of the file's folder at the first opening. */
  #device: number | null = null;
  /** Null before the first attempt to open the file. */
  #state: DiskState | null = null;
  readonly #damage = { files: 0, lostRecords: 0 };
  /** The last error of the store, also after its recovery. */
  lastError: StoreError | null = null;

  constructor({ file, reserveBytes = 0, log }: Pick<StoreOptions, 'file' | 'reserveBytes' | 'log'>) {
    this.#reserveBytes = reserveBytes;
    this.#folder = dirname(file);
    this.#log = log;
  }

  /** Damaged files since start, and their pending records that were unreadable. */
  get damage(): Readonly<{ files: number; lostRecords: number }> {
    return this.#damage;
  }

  get state(): DiskState {
    return this.#state ?? 'failed';
  }

  /** Null when there is room for records. */
  get refusal(): StoreError | null {
    return this.#state === 'disk-full' ? new StoreError('disk-full', 'the disk is full', 'disk-full') : null;
  }

  /** The error for calls while the file is closed. */
  notOpen(isStopping: boolean): StoreError {
    if (isStopping || !this.lastError) return new StoreError('stopped', 'the store is not running');
    return new StoreError('failed', this.lastError.message, this.lastError.disk);
  }

  /** The arguments that the thread needs to open the file. */
  forOpening(): Pick<OpenArgument, 'reserveBytes' | 'device' | 'isDiskFull'> {
    const isDiskFull = this.lastError?.disk === 'disk-full';
    return { reserveBytes: this.#reserveBytes, device: this.#device, isDiskFull };
  }

  opened({ device, hasRoom, damage, formerGateway, epoch, rows, bytes, olderEpochs }: Opened): void {
    this.#device ??= device;
    if (damage) {
      this.#damage.files += 1;
      this.#damage.lostRecords += damage.lostRecords;
      this.#log.error({ event: 'store.damaged', ...damage, epoch });
    }
    if (formerGateway !== null) this.#log.warn({ event: 'store.taken_over', formerGateway });
    this.#log.info({ event: 'store.opened', epoch, rows, bytes, olderEpochs: olderEpochs.length });
    this.inspected(hasRoom);
  }

  inspected(hasRoom: boolean): void {
    this.#set(hasRoom ? 'ok' : 'disk-full');
  }

  /** The file was closed by a failure. */
  failed(error: StoreError): void {
    this.lastError = error;
    this.#set(error.disk);
  }

  /** Another attempt to open the file failed. */
  stillFails(error: unknown, pauseMs: number): void {
    this.#log.error({ event: 'store.reopen_failed', error: errorText(error), pauseMs });
    if (error instanceof StoreError) this.failed(error);
  }

  #set(state: DiskState): void {
    if (state === this.#state) return;
    this.#state = state;
    const facts = { event: 'store.state', state, folder: this.#folder, advice: DISK_ADVICE[state] };
    if (state === 'ok') this.#log.info(facts);
    else this.#log.error({ ...facts, error: this.lastError?.message ?? null });
  }
}
