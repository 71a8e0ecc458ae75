/** The demo's made-up plant: the names of its devices, their topics, and its policy. */

export interface DevicePlan {
  brokerPort: number;
  /** Folder of the devices' logs. */
  dir: string;
  /** Indexes of the devices in this process. */
  devices: number[];
  ratePerDevice: number;
  durationMs: number;
  payloadBytes: number;
  seed: number;
}

const KINDS = ['pump', 'meter', 'fan', 'press', 'pump', 'meter', 'mill', 'robot'] as const;

export function deviceKind(index: number): (typeof KINDS)[number] {
  return KINDS[index % KINDS.length] ?? 'pump';
}

/**
 * `plant/vibration/…` for machines with a sensor for it, `plant/energy/…` for meters, else `plant/line/…`.
 */
export function topicOf(index: number, device: string): string {
  const kind = deviceKind(index);
  if (kind === 'meter') return `plant/energy/${device}`;
  if (kind === 'fan' || kind === 'mill') return `plant/vibration/${device}`;
  return `plant/line/${device}`;
}

export function alarmTopic(device: string): string {
  return `plant/alarm/${device}`;
}

/** A provider outside the zone of the stream that must stay in the EU. */
export const RESIDENCY = { stream: 'energy', outside: ['gcp'] } as const;

/**
 * Every provider carries some stream from the start, and one stream follows the score. Records leave the
 * buffer only after the router's receipt.
 */
export const POLICY = {
  version: 1,
  streams: {
    alarms: {
      topics: ['plant/alarm/#'],
      redundancy: 2,
      until: 'receipt',
      preferred_providers: ['gcp'],
      linger: '50ms',
    },
    energy: {
      topics: ['plant/energy/#'],
      until: 'receipt',
      data_residency: 'eu',
      preferred_providers: ['aws'],
    },
    vibration: { topics: ['plant/vibration/#'], until: 'receipt', preferred_providers: ['azure'] },
    telemetry: { topics: ['#'], until: 'receipt' },
  },
  failover: { standby_probe: '5s', dwell: '5s', open_for: '1s', open_max: '5s', deadline_max: '2s' },
};
