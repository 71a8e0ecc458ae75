/**
 * The parts of a case: clouds and router in one namespace, agent and devices in the other, the wire between
 * them, the name server of the agent's side. This process runs in the agent's namespace.
 */
import { type ChildProcess, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import { z } from 'zod';
import type { DeviceReport } from '../../demo/device.ts';
import { compare } from '../../demo/verdict.ts';
import { openSqliteLedger } from '../../router/ledger/sqlite/engine.ts';
import { systemClock as clock } from '../../shared/clock.ts';
import { createLogger } from '../../shared/log.ts';
import { BIN } from '../cli/run.ts';
import { AgentProcess, configFile } from '../crash/agent-process.ts';
import { freePort } from '../servers/free-port.ts';
import { Tinyproxy } from '../servers/tinyproxy.ts';
import { until } from '../until.ts';
import type { Weather, WeatherCase } from './case.ts';
import { NameServer } from './name-server.ts';
import {
  CLOUD,
  CLOUD_ADDRESSES,
  changeEdgeAddress,
  HOSTS,
  HOSTS_TEXT,
  inside,
  NAME_SERVER,
  RESOLV_CONF,
  setEdgeLink,
  WIRE_ENDS,
} from './net.ts';

const DEVICE = fileURLToPath(new URL('../../demo/device.ts', import.meta.url));
const CLOUDS = fileURLToPath(new URL('./clouds.ts', import.meta.url));
const EDGE_ADDRESS = '10.77.0.1';
/** A gateway on a thin link has few devices: the case tests the weather. */
const RATE = 20;
const DEVICES = 4;

const entries = z.object({
  providers: z.array(z.record(z.string(), z.unknown())),
  downlinks: z.array(z.record(z.string(), z.unknown())),
  sources: z.array(z.record(z.string(), z.unknown())),
});
const status = z.object({
  buffer: z.object({ rows: z.number() }),
  providers: z.array(z.object({ name: z.string(), accepted: z.number(), health: z.string() })),
});
export type Status = z.output<typeof status>;

export class World {
  readonly #dir: string;
  readonly #nameServer = new NameServer(Object.values(CLOUD_ADDRESSES));
  readonly #proxy = new Tinyproxy();
  readonly #children: ChildProcess[] = [];
  #wire: ChildProcess | null = null;
  #clouds: ChildProcess | null = null;
  #router: ChildProcess | null = null;
  #agent: AgentProcess | null = null;
  #devices: ChildProcess | null = null;
  #report: DeviceReport = { published: 0, acked: 0, unacked: 0, done: false };
  #adminPort = 0;
  #address = EDGE_ADDRESS;

  constructor(dir: string) {
    this.#dir = dir;
  }

  /** Everything but the devices; resolves when the agent is ready. */
  async start({ before, hosts_of: hostsOf }: WeatherCase, wireProgram: string): Promise<void> {
    writeFileSync(HOSTS, HOSTS_TEXT);
    writeFileSync(RESOLV_CONF, `nameserver ${NAME_SERVER}\n`);
    await this.#nameServer.start(NAME_SERVER);
    const wire = this.#spawn(...inside(WIRE_ENDS.namespace, wireProgram, [WIRE_ENDS.left, WIRE_ENDS.right]));
    this.#wire = wire;
    await firstLine(wire);
    mkdirSync(join(this.#dir, 'clouds'));
    const clouds = this.#spawn(...inside(CLOUD, process.execPath, [CLOUDS, join(this.#dir, 'clouds')]));
    this.#clouds = clouds;
    const parts = entries.parse(JSON.parse(await firstLine(clouds)));
    for (const provider of parts.providers) {
      const host = hostsOf[String(provider['name'])];
      if (host !== undefined)
        provider['endpoint'] = String(provider['endpoint']).replace(/[a-z]+\.cloud\.test/, host);
    }
    this.#router = this.#startRouter(parts.sources);
    const brokerPort = await freePort();
    this.#adminPort = await freePort();
    mkdirSync(join(this.#dir, 'agent'));
    const config = {
      gateway: 'weather',
      data_dir: join(this.#dir, 'agent', 'data'),
      admin: { port: this.#adminPort },
      broker: { allow_anonymous: true, listeners: [{ type: 'tcp', port: brokerPort }] },
      providers: parts.providers,
      downlinks: parts.downlinks,
      // All carry every record, so that each has to come back by itself.
      policy: {
        streams: { telemetry: { topics: ['#'], redundancy: parts.providers.length, until: 'receipt' } },
      },
    };
    writeFileSync(configFile(join(this.#dir, 'agent')), stringify(config));
    await this.change(before);
    const env: Record<string, string> = before.proxy === 'up' ? { HTTPS_PROXY: this.#proxy.url } : {};
    this.#agent = new AgentProcess({ dir: join(this.#dir, 'agent') }, clock, { env });
    await this.#agent.untilReady();
    mkdirSync(this.#deviceLogs);
    const plan = {
      brokerPort,
      dir: this.#deviceLogs,
      devices: Array.from({ length: DEVICES }, (_, i) => i),
      ratePerDevice: RATE / DEVICES,
      durationMs: Number.MAX_SAFE_INTEGER,
      payloadBytes: 120,
      seed: 1,
    };
    this.#devices = fork(DEVICE, [JSON.stringify(plan)], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    this.#children.push(this.#devices);
    this.#devices.on('message', (report) => {
      this.#report = report as DeviceReport;
    });
    await until('devices are told of records', () => this.#report.acked > 0);
  }

  async change({ dns, wire, cut, link, address, proxy, ...files }: Weather): Promise<void> {
    const { hosts, resolv_conf: resolvConf } = files;
    for (const [name, answering] of Object.entries(dns)) this.#nameServer.set(name, answering);
    for (const [name, value] of Object.entries(wire)) this.#wire?.stdin?.write(`${name} ${Number(value)}\n`);
    if (hosts !== undefined) writeFileSync(HOSTS, `${HOSTS_TEXT}${hosts}`);
    if (resolvConf !== undefined) writeFileSync(RESOLV_CONF, resolvConf);
    if (address !== undefined) {
      changeEdgeAddress(this.#address, address);
      this.#address = address;
    }
    if (proxy === 'up') await this.#proxy.start();
    if (proxy === 'down') await this.#proxy.stop();
    if (link !== undefined) setEdgeLink(link === 'up');
    if (cut) this.#clouds?.stdin?.write('cut\n');
  }

  /** Hosts that went through the proxy. */
  tunnels(): Set<string> {
    return new Set(this.#proxy.tunnels().map((target) => target.replace(/:\d+$/, '')));
  }

  async status(): Promise<Status> {
    const answer = await fetch(`http://127.0.0.1:${this.#adminPort}/v1/status`);
    return status.parse(await answer.json());
  }

  /**
   * Ends the devices, waits until nothing is in the buffer, and compares what they were told with the ledger.
   */
  async verdict(): Promise<{ acked: number; missing: number; duplicatedInLedger: number }> {
    this.#devices?.kill('SIGTERM');
    // The records that wait for a provider that is still away.
    this.#nameServer.heal();
    await until('the buffer is empty', async () => (await this.status()).buffer.rows === 0);
    this.#router?.kill('SIGTERM');
    if (this.#router) await once(this.#router, 'close');
    const log = createLogger({ level: 'silent', levels: {} });
    const ledger = await openSqliteLedger({ file: join(this.#dir, 'router', 'ledger.db'), clock, log });
    try {
      return await compare(this.#deviceLogs, ledger, { stream: '', outside: [] });
    } finally {
      await ledger.close();
    }
  }

  async stop(): Promise<void> {
    this.#nameServer.stop();
    await this.#agent?.kill();
    await this.#proxy.remove();
    for (const child of this.#children.reverse()) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      child.kill('SIGKILL');
      await once(child, 'close');
    }
    if (this.#address !== EDGE_ADDRESS) changeEdgeAddress(this.#address, EDGE_ADDRESS);
    setEdgeLink(true);
  }

  get #deviceLogs(): string {
    return join(this.#dir, 'devices');
  }

  #startRouter(sources: readonly object[]): ChildProcess {
    mkdirSync(join(this.#dir, 'router'));
    const file = join(this.#dir, 'router.yaml');
    writeFileSync(file, stringify({ data_dir: join(this.#dir, 'router'), log: { level: 'warn' }, sources }));
    return this.#spawn(...inside(CLOUD, process.execPath, [BIN, 'router', '--config', file]));
  }

  #spawn(program: string, args: readonly string[]): ChildProcess {
    const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#children.push(child);
    return child;
  }
}

async function firstLine({ stdout }: ChildProcess): Promise<string> {
  if (stdout) for await (const line of createInterface({ input: stdout })) return line;
  throw new Error('it ended without a word');
}
