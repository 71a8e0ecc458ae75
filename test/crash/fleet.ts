/**
 * MQTT devices that publish as fast as a window of unacknowledged publishes lets them, at QoS 1 and 2 mixed,
 * over persistent sessions, and that remember the acknowledgements. They live on while the agent is killed,
 * and send again what is not acknowledged when it is back, as MQTT 3.1.1 section 4.4 has it.
 */
import { connect, type MqttClient } from 'mqtt';
import type { Entropy } from '../../shared/entropy.ts';

const DEVICES = 6;
/** Publishes a device may have unacknowledged. */
const WINDOW = 40;
const RECONNECT_MS = 50;
/** Every tenth publish goes to the stream of alarms. */
const ALARM_SHARE = 0.1;
const FILLER_BYTES_MAX = 200;

/** One publish that the client library reported as a success: PUBACK for QoS 1, PUBCOMP for QoS 2. */
export interface Acknowledged {
  qos: 1 | 2;
}

export interface FleetOptions {
  port: number;
  entropy: Entropy;
}

interface Device {
  name: string;
  client: MqttClient;
  number: number;
  unacked: number;
}

export class Fleet {
  /** By {@link publishKey}. */
  readonly acknowledged = new Map<string, Acknowledged>();
  readonly #entropy: Entropy;
  readonly #devices: Device[];
  #stopped: boolean = false;

  constructor({ port, entropy }: FleetOptions) {
    this.#entropy = entropy;
    this.#devices = Array.from({ length: DEVICES }, (_, index) => {
      const name = `device-${index}`;
      const client = connect(`mqtt://127.0.0.1:${port}`, {
        clientId: name,
        clean: false,
        reconnectPeriod: RECONNECT_MS,
        protocolVersion: 4,
      });
      return { name, client, number: 0, unacked: 0 };
    });
    for (const device of this.#devices) {
      device.client.on('connect', () => this.#fill(device));
      device.client.on('error', () => undefined /* it reconnects; what is not acknowledged is sent again */);
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#devices.map(({ client }) => client.endAsync(true)));
  }

  #fill(device: Device): void {
    while (!this.#stopped && device.client.connected && device.unacked < WINDOW) this.#publish(device);
  }

  #publish(device: Device): void {
    device.number += 1;
    device.unacked += 1;
    const qos = this.#entropy.float() < 0.5 ? 1 : 2;
    const kind = this.#entropy.float() < ALARM_SHARE ? 'alarm' : 'reading';
    const topic = `plant/${device.name}/${kind}`;
    const filler = 'x'.repeat(Math.floor(this.#entropy.float() * FILLER_BYTES_MAX));
    const payload = `${device.number} qos ${qos} ${filler}`;
    device.client.publish(topic, payload, { qos }, (error) => {
      device.unacked -= 1;
      if (error) return;
      this.acknowledged.set(publishKey(device.name, topic, payload), { qos });
      this.#fill(device);
    });
  }
}

/** Equal for equal device, topic and bytes only. */
export function publishKey(device: string, topic: string, payload: string): string {
  return `${device}\n${topic}\n${payload}`;
}
