/** A device file that a test writes, and a broker that follows it quickly. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, type IClientOptions, type MqttClient } from 'mqtt';
import type { Test } from 'tap';
import { type Device, type DeviceFile, editDeviceFile } from '../../../../agent/broker/access/device-file.ts';
import { Devices } from '../../../../agent/broker/access/devices.ts';
import { hashPassword } from '../../../../agent/broker/access/password.ts';
import type { Broker } from '../../../../agent/broker/broker.ts';
import type { Publish } from '../../../../agent/broker/intake.ts';
import type { BrokerOptions } from '../../../../agent/broker/options.ts';
import { systemEntropy } from '../../../../shared/entropy.ts';
import { createLogger } from '../../../../shared/log.ts';
import { ForwardClock } from '../../../forward-clock.ts';
import { startBroker } from '../fixture.ts';

/** Files are looked at every 20 ms. */
const HASTY = new ForwardClock({ periodMsMax: 20 });

export const PASSWORD = 'correct-horse-1';
export const HASH = await hashPassword(PASSWORD, systemEntropy);

export function device(name: string, rest: Partial<Device> = {}): Device {
  return {
    name,
    password: HASH,
    groups: [],
    disabled: false,
    created: '2026-01-01T00:00:00Z',
    rules: [],
    ...rest,
  };
}

export interface Gated {
  broker: Broker;
  port: number;
  dir: string;
  file: string;
  devices: Devices;
  /** Publishes taken in. */
  taken: Publish[];
  /** Log lines, as text. */
  lines: string[];
  write(content: Partial<DeviceFile>): Promise<void>;
}

export async function startGated(
  t: Test,
  content: Partial<DeviceFile>,
  options: Partial<Pick<BrokerOptions, 'listeners' | 'allowAnonymous'>> & {
    limits?: Partial<BrokerOptions['limits']>;
  } = {},
): Promise<Gated> {
  const dir = mkdtempSync(join(tmpdir(), 'headgate-test-'));
  const file = join(dir, 'devices.json');
  const lines: string[] = [];
  const log = createLogger({ level: 'trace', levels: {} }, { write: (line) => lines.push(line) });
  const write = async (next: Partial<DeviceFile>): Promise<void> => {
    const result = await editDeviceFile(file, () => ({ version: 1, devices: [], groups: [], ...next }));
    if (!result.ok) throw new Error(result.problem);
  };
  await write(content);
  const devices = new Devices({ file, clock: HASTY, log });
  await devices.start();
  const taken: Publish[] = [];
  const intake: BrokerOptions['intake'] = (publish, settled) => {
    taken.push(publish);
    settled(null);
  };
  const { broker, port } = await startBroker(intake, {
    devices,
    allowAnonymous: false,
    clock: HASTY,
    log,
    ...options,
  });
  t.teardown(async () => {
    await broker.stop();
    await devices.stop();
    rmSync(dir, { recursive: true, force: true });
  });
  return { broker, port, dir, file, devices, taken, lines, write };
}

export function writeFiles(dir: string, files: Readonly<Record<string, string>>): void {
  for (const [name, text] of Object.entries(files)) writeFileSync(join(dir, name), text);
}

/** The client, or the CONNACK return code that it got instead; -1 when the connection ended without one. */
export function login(t: Test, options: IClientOptions): Promise<MqttClient | number> {
  return new Promise((resolve) => {
    const client = connect({
      host: '127.0.0.1',
      protocolVersion: 4,
      reconnectPeriod: 0,
      clean: true,
      ...options,
    });
    t.teardown(() => {
      client.end(true);
    });
    client.once('connect', () => resolve(client));
    client.once('error', (error) => {
      const code: unknown = Reflect.get(error, 'code');
      resolve(typeof code === 'number' ? code : -1);
    });
    client.once('close', () => resolve(-1));
  });
}

/** As {@link login}, for a device whose login must succeed. */
export async function loggedIn(t: Test, name: string, options: IClientOptions): Promise<MqttClient> {
  const client = await login(t, { clientId: name, username: name, password: PASSWORD, ...options });
  if (typeof client === 'number') throw new Error(`${name} was refused with ${client}`);
  return client;
}
