/**
 * A real agent process with two brokers as its providers, an operator's commands and a device's publishes.
 */

import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { connectAsync } from 'mqtt';
import type { Test } from 'tap';
import { stringify } from 'yaml';
import { systemClock } from '../../../shared/clock.ts';
import { command } from '../../cli/run.ts';
import { AgentProcess, configFile } from '../../crash/agent-process.ts';
import { testDir } from '../../test-dir.ts';
import { until } from '../../until.ts';
import { type Broker, startBroker } from '../providers/mqtt/support.ts';

export interface Gateway {
  dir: string;
  /** Address of its admin server. */
  admin: string;
  brokers: { a: Broker; b: Broker };
  /** The last process that was started. */
  agent: AgentProcess;
  start(): Promise<AgentProcess>;
  /** All that its history has on the disk; nothing before the first write. */
  written(): string;
  /** Publishes at QoS 1; resolves when all have their PUBACK. */
  publish(topic: string, count: number): Promise<void>;
  /** A command that asks this agent, in this process. */
  cli(...args: string[]): ReturnType<typeof command>;
  /** The answer of its admin server. */
  ask<T>(path: string): Promise<T>;
}

export async function gatewayWith(
  t: Test,
  { policy, history = {}, more = {} }: { policy: object; history?: object; more?: object },
): Promise<Gateway> {
  const dir = testDir(t);
  const brokers = { a: await startBroker(t), b: await startBroker(t) };
  const ports = { broker: await freePort(), admin: await freePort() };
  const provider = (name: 'a' | 'b') => ({
    name,
    type: 'mqtt',
    url: `mqtt://127.0.0.1:${brokers[name].port}`,
  });
  const config = {
    gateway: 'gw-1',
    data_dir: join(dir, 'data'),
    admin: { port: ports.admin },
    clock: { synchronised: 'assume' },
    broker: { allow_anonymous: true, listeners: [{ type: 'tcp', port: ports.broker }] },
    history: { write_every: '300ms', ...history },
    providers: [provider('a'), provider('b')],
    policy,
    ...more,
  };
  writeFileSync(configFile(dir), stringify(config));
  const admin = `http://127.0.0.1:${ports.admin}`;
  const gateway: Gateway = {
    dir,
    admin,
    brokers,
    agent: new AgentProcess({ dir }, systemClock),
    async start() {
      gateway.agent = new AgentProcess({ dir }, systemClock);
      await gateway.agent.untilReady();
      return gateway.agent;
    },
    written() {
      const folder = join(dir, 'data', 'history');
      if (!existsSync(folder)) return '';
      return readdirSync(folder)
        .map((name) => readFileSync(join(folder, name), 'utf8'))
        .join('');
    },
    async publish(topic, count) {
      const device = await connectAsync(`mqtt://127.0.0.1:${ports.broker}`, { protocolVersion: 4 });
      const publishes = Array.from({ length: count }, (_, i) =>
        device.publishAsync(topic, `reading ${i}`, { qos: 1 }),
      );
      await Promise.all(publishes);
      await device.endAsync();
    },
    cli: (...args) => command([...args, '--admin', admin]),
    async ask(path) {
      const response = await fetch(admin + path);
      if (!response.ok) throw new Error(await response.text());
      return JSON.parse(await response.text());
    },
  };
  await gateway.agent.untilReady();
  t.teardown(() => gateway.agent.kill());
  return gateway;
}

/** Asks until the answer is as wanted, and returns it. */
export async function untilAnswer<T>(
  what: string,
  asked: () => Promise<T>,
  wanted: (answer: T) => boolean,
): Promise<T> {
  const { answer } = await until(what, async () => {
    const answer = await asked();
    return wanted(answer) ? { answer } : null;
  });
  return answer;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (typeof address !== 'object' || address === null) throw new Error('no port');
  return address.port;
}
