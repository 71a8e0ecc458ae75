/**
 * The devices that a running agent knows: the device file, read again when it changes. A file that is
 * unreadable or invalid changes nothing: the last good one stays in force (I8, I9), and the state reports the
 * fault.
 */
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
  #reading: Promise<void> | null = null;

  constructor(options: DevicesOptions) {
    this.#options = options;
  }

  /** Resolves after the first read, also when the read found a fault. */
  async start(): Promise<void> {
    await this.#poll();
    this.#polling = this.#options.clock.every(POLL_MS, () => {
      this.#reading ??= this.#poll().finally(() => {
        this.#reading = null;
      });
    });
  }

  async stop(): Promise<void> {
    this.#polling?.cancel();
    this.#polling = null;
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

  async #poll(): Promise<void> {
    const { file, log } = this.#options;
    const stamp = await stampOf(file);
    if (stamp === this.#stamp) return;
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
