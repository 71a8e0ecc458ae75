/**
 * The devices that a running agent knows: the device file, read again when it changes: at once where the
 * system tells (inotify), else within a second. The file alone is watched: its folder also holds the buffer,
 * which changes with every commit. A file that is
 * unreadable or invalid changes nothing: the last good one stays in force (I8, I9), and the state reports the
 * fault.
 */
import { type FSWatcher, watch } from 'node:fs';
import { stat } from 'node:fs/promises';
import type { Clock, Timer } from '../../../shared/clock.ts';
import type { Logger } from '../../../shared/log.ts';
import type { Service } from '../../../shared/service.ts';
import type { AclRule } from './acl.ts';
import { type Device, type DeviceFile, type DeviceFileState, readDeviceFile } from './device-file.ts';

const POLL_MS = 1000;

export interface DevicesOptions {
  file: string;
  clock: Clock;
  log: Logger;
}

export class Devices implements Service {
  readonly #options: DevicesOptions;
  readonly #listeners: Array<() => void> = [];
  #devices = new Map<string, Device>();
  #groups = new Map<string, DeviceFile['groups'][number]>();
  #state: DeviceFileState = 'missing';
  /** Inode, size and change time of the file at the last read. */
  #stamp = '';
  /** Why the file is unreadable, as logged; empty while it is not. */
  #told = '';
  #revision = 0;
  #polling: Timer | null = null;
  #watcher: FSWatcher | null = null;
  #reading: Promise<void> | null = null;
  /** The file changed during a read. */
  #isOutdated: boolean = false;

  constructor(options: DevicesOptions) {
    this.#options = options;
  }

  /** Resolves after the first read, also when the read found a fault. */
  async start(): Promise<void> {
    this.#polling = this.#options.clock.every(POLL_MS, () => void this.#look());
    await this.#look();
  }

  async stop(): Promise<void> {
    this.#polling?.cancel();
    this.#polling = null;
    this.#watcher?.close();
    this.#watcher = null;
    await this.#reading;
  }

  /** State of the file at the last read; the devices may come from an earlier version of it. */
  get state(): DeviceFileState {
    return this.#state;
  }

  /** Grows with every change of the known devices. */
  get revision(): number {
    return this.#revision;
  }

  get(name: string): Device | undefined {
    return this.#devices.get(name);
  }

  /** The device's own rules and those of its groups; empty for an unknown device. */
  rulesOf(name: string): AclRule[] {
    const device = this.#devices.get(name);
    if (!device) return [];
    return [...device.rules, ...device.groups.flatMap((group) => this.#groups.get(group)?.rules ?? [])];
  }

  /** `listener` is called after every change. */
  onChange(listener: () => void): void {
    this.#listeners.push(listener);
  }

  /** One read at a time. */
  #look(): Promise<void> {
    this.#reading ??= this.#poll().finally(() => {
      this.#reading = null;
      if (this.#isOutdated && this.#polling) void this.#look();
    });
    return this.#reading;
  }

  /** Watches the file that has the name now: a command replaces it by another. */
  #watch(): void {
    this.#watcher?.close();
    this.#watcher = null;
    if (!this.#polling) return;
    try {
      const watcher = watch(this.#options.file, { persistent: false }, () => {
        this.#isOutdated = true;
        void this.#look();
      });
      watcher.on('error', () => watcher.close());
      this.#watcher = watcher;
    } catch {
      // There is no file yet, or no file descriptor is free: the poll finds the change.
    }
  }

  async #poll(): Promise<void> {
    const { file, log } = this.#options;
    this.#isOutdated = false;
    const stamp = await stampOf(file);
    if (stamp === this.#stamp) return;
    this.#watch();
    const reading = await readDeviceFile(file);
    // An unreadable file is tried again: the process may have had no file descriptor left.
    this.#stamp = reading.state === 'unreadable' ? '' : stamp;
    this.#state = reading.state;
    const told = this.#told;
    this.#told = reading.state === 'unreadable' ? reading.problem : '';
    if (reading.state !== 'ok') {
      const { state, problem } = reading;
      if (this.#told !== '' && this.#told === told) return;
      const facts = { event: 'broker.device_file', state, problem, devices: this.#devices.size };
      if (state === 'missing' && this.#devices.size === 0) log.info(facts);
      else log.error(facts);
      return;
    }
    this.#take(reading.content);
    log.info({ event: 'broker.device_file', state: 'ok', devices: this.#devices.size });
  }

  #take({ devices, groups }: DeviceFile): void {
    this.#devices = new Map(devices.map((device) => [device.name, device]));
    this.#groups = new Map(groups.map((group) => [group.name, group]));
    this.#revision += 1;
    for (const listener of this.#listeners) listener();
  }
}

async function stampOf(file: string): Promise<string> {
  try {
    const { ino, size, mtimeNs } = await stat(file, { bigint: true });
    return `${ino} ${size} ${mtimeNs}`;
  } catch (error) {
    return error instanceof Error ? error.message : String(error); // The read then reports the error.
  }
}
