/** The parts of a drill: loopback clouds in this process; agent, router and devices in their own. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import { writeCredentials } from '../../demo/credentials.ts';
import { type Comparison, compare } from '../../demo/verdict.ts';
import { AwsCloud } from '../../loopback/aws.ts';
import { AzureCloud } from '../../loopback/azure.ts';
import { createCertificateAuthority } from '../../loopback/ca.ts';
import type { Cloud } from '../../loopback/cloud.ts';
import { fault } from '../../loopback/faults.ts';
import { GcpCloud } from '../../loopback/gcp.ts';
import { openSqliteLedger } from '../../router/ledger/sqlite/engine.ts';
import type { CompletenessAnswer, FleetSummary } from '../../shared/admin-api/status.ts';
import { systemClock as clock } from '../../shared/clock.ts';
import { systemEntropy as entropy } from '../../shared/entropy.ts';
import { createLogger } from '../../shared/log.ts';
import { AgentProcess, configFile } from '../crash/agent-process.ts';
import { freePort } from '../servers/free-port.ts';
import { type RouterProcess, routerProcess } from '../servers/router-process.ts';
import { until } from '../until.ts';
import type { CloudChange, DrillCase, DrillCloud } from './case.ts';
import { getJson, Observer } from './observer.ts';

const DEVICE = fileURLToPath(new URL('../../demo/device.ts', import.meta.url));
const DEVICES = 4;
const GATEWAY = 'drill';
/** Nothing under this name resolves (RFC 6761). */
const NO_NAME = 'cloud.invalid';

const log = createLogger({ level: 'silent', levels: {} });

type Entry = Record<string, unknown>;

export class DrillWorld {
  readonly #dir: string;
  readonly #clouds = new Map<DrillCloud, Cloud>();
  readonly #deviceLogs: string;
  #router: RouterProcess | null = null;
  #agent: AgentProcess | null = null;
  #devices: ChildProcess | null = null;
  #observer: Observer | null = null;

  constructor(dir: string) {
    this.#dir = dir;
    this.#deviceLogs = join(dir, 'devices');
  }

  get observer(): Observer {
    if (!this.#observer) throw new Error('the drill is not started');
    return this.#observer;
  }

  /** Resolves when records of devices are in the ledger. */
  async start(one: DrillCase): Promise<void> {
    const env = await this.#startClouds(one);
    const named = (entry: Entry, name: DrillCloud): Entry =>
      one.without_name.includes(name)
        ? JSON.parse(JSON.stringify(entry).replaceAll('localhost', NO_NAME))
        : entry;
    const entries = [...this.#clouds].map(([name, cloud]) => ({
      provider: named(cloud.agentConfig(GATEWAY), name),
      // Messages that a late answer took with it come again after this time.
      source: { ...named(cloud.routerConfig(), name), ...(name === 'aws' && { visibility_timeout: '10s' }) },
    }));
    const https = await writeCredentials(join(this.#dir, 'https'), GATEWAY, { clock, entropy });
    const apiPort = await freePort();
    const router = await routerProcess(
      join(this.#dir, 'router'),
      {
        sources: [
          ...entries.map(({ source }) => source),
          { type: 'https', name: 'https', port: apiPort, ...https.router },
        ],
      },
      env,
    );
    this.#router = router;
    await router.start();
    const brokerPort = await freePort();
    const adminPort = await freePort();
    const dir = join(this.#dir, 'agent');
    mkdirSync(dir);
    const config = {
      gateway: GATEWAY,
      data_dir: join(dir, 'data'),
      admin: { port: adminPort },
      broker: { allow_anonymous: true, listeners: [{ type: 'tcp', port: brokerPort }] },
      providers: entries.map(({ provider }) => provider),
      downlinks: [{ type: 'https', name: 'router', url: `https://localhost:${apiPort}`, ...https.agent }],
      policy: {
        streams: {
          telemetry: { topics: ['#'], until: 'receipt', preferred_providers: one.prefers ?? one.clouds },
        },
        // The health of a standby is known before the outage is over.
        failover: { standby_probe: '5s' },
      },
    };
    writeFileSync(configFile(dir), stringify(config));
    this.#agent = new AgentProcess({ dir }, clock, { env });
    await this.#agent.untilReady();
    const clouds = [...this.#clouds.values()];
    this.#observer = new Observer({
      agent: `http://127.0.0.1:${adminPort}`,
      router: router.adminUrl,
      clouds,
      clock,
    });
    this.#startDevices(brokerPort, one.rate);
    await until('records are in the ledger', async () => (await this.recordsInLedger()) > 0);
  }

  async change(changes: Partial<Record<DrillCloud, CloudChange>>): Promise<void> {
    for (const [name, cloud] of this.#clouds) {
      const change = changes[name];
      if (change === undefined) continue;
      if (change === null) await cloud.setFault(null);
      else {
        const { fault: faultName, ...options } = change;
        const given = Object.entries(options).filter(([, value]) => value !== undefined);
        await cloud.setFault(fault(faultName, Object.fromEntries(given)));
      }
    }
  }

  async recordsInLedger(): Promise<number> {
    return (await this.observer.router()).ledger?.records ?? 0;
  }

  /** Resolves with the router's whole count. */
  async completeness(): Promise<FleetSummary> {
    const { summary } = await getJson<CompletenessAnswer>(`${this.#router?.adminUrl}/v1/completeness`);
    if (!summary) throw new Error('no summary on the first page');
    return summary;
  }

  /** Ends the devices; resolves when every row has left the buffer and every message was read. */
  async settle(): Promise<void> {
    this.#devices?.kill('SIGTERM');
    await until('the buffer is empty', async () => (await this.observer.status()).buffer.rows === 0);
    await until('the clouds are read', () =>
      [...this.#clouds.values()].every((cloud) => cloud.meter().unsettled === 0),
    );
  }

  /** Ends the router, and compares what devices were told with the ledger. */
  async verdict(): Promise<Comparison> {
    await this.observer.stop();
    await this.#router?.stop();
    const ledger = await openSqliteLedger({
      file: join(this.#dir, 'router', 'data', 'ledger.db'),
      clock,
      log,
    });
    try {
      return await compare(this.#deviceLogs, ledger, { stream: '', outside: [] });
    } finally {
      await ledger.close();
    }
  }

  async stop(): Promise<void> {
    await this.#observer?.stop();
    const devices = this.#devices;
    if (devices && devices.exitCode === null && devices.signalCode === null) {
      devices.kill('SIGKILL');
      await once(devices, 'close');
    }
    await this.#agent?.kill();
    await this.#router?.kill();
    for (const cloud of this.#clouds.values()) await cloud.stop();
  }

  /** Returns what agent and router need in their environment. */
  async #startClouds({ clouds, credentials_live: lifetimeMs }: DrillCase): Promise<Record<string, string>> {
    const ca = await createCertificateAuthority(clock, entropy);
    const caFile = join(this.#dir, 'ca.pem');
    writeFileSync(caFile, ca.ca);
    const options = { ca, caFile, clock, entropy, log };
    const env: Record<string, string> = {};
    for (const name of clouds) {
      if (name === 'azure') {
        await this.#begin(new AzureCloud(options));
        continue;
      }
      const temporary = lifetimeMs !== undefined;
      const cloud =
        name === 'aws'
          ? new AwsCloud({ ...options, ...(temporary && { roleLifetimeMs: lifetimeMs }) })
          : new GcpCloud({ ...options, ...(temporary && { tokenLifetimeMs: lifetimeMs }) });
      await this.#begin(cloud);
      if (temporary) Object.assign(env, await cloud.environment(this.#dir));
    }
    return env;
  }

  async #begin(cloud: Cloud): Promise<void> {
    await cloud.start();
    this.#clouds.set(cloud.name, cloud);
  }

  #startDevices(brokerPort: number, rate: number): void {
    mkdirSync(this.#deviceLogs);
    const plan = {
      brokerPort,
      dir: this.#deviceLogs,
      devices: Array.from({ length: DEVICES }, (_, i) => i),
      ratePerDevice: rate / DEVICES,
      durationMs: Number.MAX_SAFE_INTEGER,
      payloadBytes: 120,
      seed: 1,
    };
    this.#devices = fork(DEVICE, [JSON.stringify(plan)], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  }
}
