/**
 * One demo process with some MQTT devices: each has its own connection and session, and publishes made-up
 * sensor data at QoS 1. Every acknowledged publish is written to the device's own log, which the checker
 * compares with the ledger.
 *
 * Started by the demo with a JSON argument ({@link DevicePlan}); reports progress to its parent over IPC.
 */
import { createWriteStream, type WriteStream } from 'node:fs';
import { join } from 'node:path';
import { connect, type MqttClient } from 'mqtt';
import { type Clock, isoTime, systemClock } from '../shared/clock.ts';
import { type Entropy, seededEntropy } from '../shared/entropy.ts';
import { stopSignal } from '../shared/process.ts';
import { alarmTopic, type DevicePlan, deviceKind, topicOf } from './plant.ts';

const STEP_MS = 20;
const REPORT_MS = 250;
/** Most unacknowledged publishes of a device: a small device has little memory. */
const UNACKED_MAX = 200;
/** How long a device waits for outstanding acknowledgements after its last publish. */
const LAST_ACKS_MS = 30_000;

/** One acknowledged publish: a line of a device's log. */
export interface AckedPublish {
  topic: string;
  payload: string;
  /** Sent more than once, because the connection broke before its PUBACK: MQTT allows a second record. */
  resent: boolean;
}

/** The report of a device process to its parent. */
export interface DeviceReport {
  published: number;
  acked: number;
  unacked: number;
  done: boolean;
}

interface Device {
  name: string;
  index: number;
  client: MqttClient;
  log: WriteStream;
  number: number;
  entropy: Entropy;
  /** Unacknowledged payloads → the number of sends. */
  unacked: Map<string, number>;
}

class DeviceProcess {
  readonly #plan: DevicePlan;
  readonly #clock: Clock;
  readonly #report: DeviceReport = { published: 0, acked: 0, unacked: 0, done: false };
  #devices: Device[] = [];

  constructor(plan: DevicePlan, clock: Clock) {
    this.#plan = plan;
    this.#clock = clock;
  }

  async run(): Promise<void> {
    this.#devices = this.#plan.devices.map((index) => this.#connect(index));
    await Promise.all(this.#devices.map(({ client }) => connected(client)));
    const reporting = this.#clock.every(REPORT_MS, () => this.#send());
    await this.#publishAll();
    const deadline = this.#clock.monoMs() + LAST_ACKS_MS;
    while (this.#unacked() > 0 && this.#clock.monoMs() < deadline) await this.#clock.sleep(STEP_MS);
    await Promise.all(this.#devices.map(({ client }) => client.endAsync(true)));
    await Promise.all(
      this.#devices.map(({ log }) => new Promise<void>((resolve) => log.end(() => resolve()))),
    );
    reporting.cancel();
    this.#report.done = true;
    this.#send();
  }

  #connect(index: number): Device {
    const name = `${deviceKind(index)}-${String(index).padStart(2, '0')}`;
    const client = connect({
      protocol: 'mqtt',
      host: '127.0.0.1',
      port: this.#plan.brokerPort,
      clientId: name,
      clean: false,
      reconnectPeriod: 200,
      connectTimeout: 5000,
      protocolVersion: 4,
    });
    const device: Device = {
      name,
      index,
      client,
      log: createWriteStream(join(this.#plan.dir, `${name}.ndjson`)),
      number: 0,
      entropy: seededEntropy(this.#plan.seed * 1000 + index),
      unacked: new Map(),
    };
    client.on('error', () => undefined /* it reconnects and sends unacknowledged publishes again */);
    // mqtt.js repeats a publish without the DUP flag: a second packet with the same payload is a repetition.
    client.on('packetsend', (packet) => {
      if (packet.cmd !== 'publish') return;
      const payload = packet.payload.toString();
      const sends = device.unacked.get(payload);
      if (sends !== undefined) device.unacked.set(payload, sends + 1);
    });
    return device;
  }

  /** Paces all devices of this process together, so that late timers do not lower the rate. */
  async #publishAll(): Promise<void> {
    const perDevice = this.#plan.ratePerDevice;
    const startedMs = this.#clock.monoMs();
    const until = startedMs + this.#plan.durationMs;
    for (let now = startedMs; now < until; now = this.#clock.monoMs()) {
      const dueEach = Math.floor(((now - startedMs) / 1000) * perDevice) + 1;
      for (const device of this.#devices) {
        while (device.number < dueEach && device.unacked.size < UNACKED_MAX) this.#publish(device);
        // A device does not measure more than it can hold: no burst afterwards.
        device.number = Math.max(device.number, dueEach);
      }
      await this.#clock.sleep(STEP_MS);
    }
  }

  #publish(device: Device): void {
    device.number += 1;
    const alarm = device.number % 50 === 0;
    const topic = alarm ? alarmTopic(device.name) : topicOf(device.index, device.name);
    const payload = this.#reading(device);
    device.unacked.set(payload, 0);
    this.#report.published += 1;
    device.client.publish(topic, payload, { qos: 1 }, (error) => {
      const resent = (device.unacked.get(payload) ?? 0) > 1;
      device.unacked.delete(payload);
      if (error) return;
      const line: AckedPublish = { topic, payload, resent };
      device.log.write(`${JSON.stringify(line)}\n`);
      this.#report.acked += 1;
    });
  }

  #reading(device: Device): string {
    const wave = Math.sin(device.number / 40 + device.index);
    const noise = (): number => device.entropy.float() - 0.5;
    const reading: Record<string, unknown> = {
      id: device.name,
      n: device.number,
      ts: isoTime(this.#clock.wallMs()),
      temp_c: round(42 + 6 * wave + noise(), 2),
      bar: round(4.1 + 0.3 * wave + 0.05 * noise(), 3),
      rms_mm_s: round(1.2 + 0.4 * Math.abs(wave) + 0.1 * noise(), 3),
    };
    const short = this.#plan.payloadBytes - JSON.stringify(reading).length - ',"note":""'.length;
    if (short > 0)
      reading['note'] = Buffer.from(device.entropy.bytes(short)).toString('base64').slice(0, short);
    return JSON.stringify(reading);
  }

  #unacked(): number {
    return this.#devices.reduce((sum, { unacked }) => sum + unacked.size, 0);
  }

  #send(): void {
    this.#report.unacked = this.#unacked();
    process.send?.({ ...this.#report });
  }
}

/** Resolves at the first connection, after any number of tries. */
function connected(client: MqttClient): Promise<void> {
  return new Promise((resolve) => {
    if (client.connected) resolve();
    else client.once('connect', () => resolve());
  });
}

function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}

const plan = JSON.parse(process.argv[2] ?? '{}') as DevicePlan;
void stopSignal().then(() => process.exit(1));
await new DeviceProcess(plan, systemClock).run();
process.exit(0);
