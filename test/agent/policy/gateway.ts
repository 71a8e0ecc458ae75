/** A real agent with two clouds, whose policy is in a file of its own. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connectAsync, type MqttClient } from 'mqtt';
import type { Test } from 'tap';
import { stringify } from 'yaml';
import { fiveFreePorts } from '../../../demo/http.ts';
import type { AgentStatus } from '../../../shared/admin-api/status.ts';
import { systemClock } from '../../../shared/clock.ts';
import { systemEntropy } from '../../../shared/entropy.ts';
import { decodeEnvelope } from '../../../shared/envelope/codec.ts';
import { AgentProcess, configFile } from '../../crash/agent-process.ts';
import { testDir } from '../../test-dir.ts';
import { until } from '../../until.ts';
import { type Broker, startBroker } from '../providers/mqtt/support.ts';

export class Gateway {
  readonly lines: Array<Record<string, unknown>> = [];
  readonly #dir: string;
  readonly #ports: readonly number[];
  readonly #clouds: { north: Broker; south: Broker };
  #agent: AgentProcess | null = null;

  constructor(dir: string, ports: readonly number[], clouds: { north: Broker; south: Broker }) {
    this.#dir = dir;
    this.#ports = ports;
    this.#clouds = clouds;
  }

  get policyFile(): string {
    return join(this.#dir, 'policy.yaml');
  }

  get rulesFile(): string {
    return join(this.#dir, 'data', 'policy-rules.json');
  }

  write(policy: object, more: object = {}): void {
    const [port, admin] = this.#ports;
    writeFileSync(this.policyFile, stringify(policy));
    const provider = (name: 'north' | 'south') => ({
      name,
      type: 'mqtt',
      region: `${name}-1`,
      url: `mqtt://127.0.0.1:${this.#clouds[name].port}`,
    });
    const config = {
      gateway: 'gw-1',
      data_dir: join(this.#dir, 'data'),
      admin: { port: admin },
      broker: { allow_anonymous: true, listeners: [{ type: 'tcp', port }] },
      providers: [provider('north'), provider('south')],
      policy_file: 'policy.yaml',
    };
    writeFileSync(configFile(this.#dir), stringify({ ...config, ...more }));
  }

  async start(): Promise<void> {
    const onLine = (line: string) => {
      if (line.startsWith('{')) this.lines.push(JSON.parse(line));
    };
    this.#agent = new AgentProcess({ dir: this.#dir }, systemClock, { onLine });
    await this.#agent.untilReady();
  }

  async kill(): Promise<void> {
    await this.#agent?.kill();
    this.#agent = null;
  }

  /** A clean end: what was accepted is noted. */
  async stop(): Promise<void> {
    process.kill(this.#agent?.pid ?? 0, 'SIGTERM');
    await this.#agent?.untilEnded();
    this.#agent = null;
  }

  hangUp(): void {
    process.kill(this.#agent?.pid ?? 0, 'SIGHUP');
  }

  device(): Promise<MqttClient> {
    return connectAsync(`mqtt://127.0.0.1:${this.#ports[0]}`, { protocolVersion: 4, reconnectPeriod: 0 });
  }

  async status(): Promise<AgentStatus> {
    return (await fetch(`http://127.0.0.1:${this.#ports[1]}/v1/status`)).json() as Promise<AgentStatus>;
  }

  async untilVersion(version: number): Promise<void> {
    await until(`policy ${version}`, async () => (await this.status()).policy?.version === version);
  }
}

export async function gateway(t: Test) {
  const north = await startBroker(t);
  const south = await startBroker(t);
  const one = new Gateway(testDir(t), await fiveFreePorts(systemEntropy), { north, south });
  t.teardown(() => one.kill().catch(() => undefined));
  return { one, north, south };
}

/** Payloads by stream, as often as they came. */
export function received({ published }: Broker): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const { topic, payload } of published) {
    if (!topic.startsWith('headgate/')) continue;
    const { stream, records } = decodeEnvelope(payload);
    const texts = records.map((record) => Buffer.from(record.payload).toString());
    found.set(stream, [...(found.get(stream) ?? []), ...texts]);
  }
  return found;
}

/** One policy after the other while three devices publish: no connection ends, nothing is lost or doubled. */
export async function policiesUnderTraffic(t: Test, policies: number): Promise<void> {
  const { one, north, south } = await gateway(t);
  const variants = [
    { all: { topics: ['#'] } },
    { odd: { topics: ['+/1', '+/3'] }, all: { topics: ['#'], linger: '20ms' } },
    { all: { topics: ['+/2'], priority: 9 }, rest: { topics: ['#'], durability: { interval: '50ms' } } },
    { fast: { topics: ['#'], preferred_providers: ['south'] } },
  ];
  one.write({ version: 1, streams: variants[0] });
  await one.start();
  const devices = await Promise.all([1, 2, 3].map(() => one.device()));
  const closed = devices.filter((device) => device.on('close', () => t.fail('a connection ended')) === null);
  const sent: string[] = [];
  let isOver = false;
  const publishing = devices.map(async (device, i) => {
    for (let n = 0; !isOver; n += 1) {
      const text = `${i + 1}-${n}`;
      await device.publishAsync(`plant/${i + 1}`, text, { qos: 1 });
      sent.push(text);
    }
  });
  for (let version = 2; version <= policies; version += 1) {
    one.write({ version, streams: variants[version % variants.length] });
    one.hangUp();
    await one.untilVersion(version);
  }
  isOver = true;
  await Promise.all(publishing);
  for (const device of devices) device.removeAllListeners('close');
  await Promise.all(devices.map((device) => device.endAsync(true)));
  // A cloud may get a record twice: a publish that it answers late goes to the other one as well.
  const byId = (): Map<string, Set<string>> => {
    const found = new Map<string, Set<string>>();
    for (const { topic, payload } of [...north.published, ...south.published]) {
      if (!topic.startsWith('headgate/')) continue;
      const { epoch, stream, records } = decodeEnvelope(payload);
      for (const { seq, payload: text } of records) {
        const id = `${epoch}/${stream}/${seq}`;
        found.set(id, (found.get(id) ?? new Set()).add(Buffer.from(text).toString()));
      }
    }
    return found;
  };
  const arrived = () => [...byId().values()].flatMap((texts) => [...texts]);
  await until('all arrive', () => new Set(arrived()).size === sent.length);
  t.equal(arrived().length, sent.length, `each of ${sent.length} under one id`);
  t.equal(byId().size, sent.length, 'and no id names two');
  t.strictSame(closed, []);
}
