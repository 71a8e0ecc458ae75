/** What the store knows of the disk under its file; each change of state is logged, with what to do about it (I9). */
import type { Logger } from '../../shared/log.ts';
import { DISK_ADVICE, type DiskState } from './disk-state.ts';
import type { OpenArgument, Opened } from './protocol.ts';
import { StoreError } from './types.ts';

export class Disk {
  readonly #reserveBytes: number;
  readonly #log: Logger;
  /** Of the file's folder, since it was opened first. */
  #device: number | null = null;
  #state: DiskState = 'failed';
  /** What made the store fail last, also after it recovered. */
  lastError: StoreError | null = null;

  constructor(reserveBytes: number, log: Logger) {
    this.#reserveBytes = reserveBytes;
    this.#log = log;
  }

  get state(): DiskState {
    return this.#state;
  }

  /** Null when there is room for records. */
  get refusal(): StoreError | null {
    return this.#state === 'disk-full' ? new StoreError('disk-full', 'the disk is full', 'disk-full') : null;
  }

  /** What the thread has to know to open the file. */
  forOpening(): Pick<OpenArgument, 'reserveBytes' | 'device' | 'isDiskFull'> {
    const isDiskFull = this.lastError?.disk === 'disk-full';
    return { reserveBytes: this.#reserveBytes, device: this.#device, isDiskFull };
  }

  opened({ device, hasRoom }: Opened): void {
    this.#device ??= device;
    this.inspected(hasRoom);
  }

  inspected(hasRoom: boolean): void {
    this.#set(hasRoom ? 'ok' : 'disk-full');
  }

  /** The file is not open. */
  failed(error: StoreError): void {
    this.lastError = error;
    this.#set(error.disk);
  }

  #set(state: DiskState): void {
    if (state === this.#state) return;
    this.#state = state;
    this.#log[state === 'ok' ? 'info' : 'error']({ event: 'store.state', state, advice: DISK_ADVICE[state] });
  }
}
