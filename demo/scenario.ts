/**
 * The running demo: its processes, its schedule of faults and kills, and the status of every part.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import type { CloudMeter, CloudName } from '../loopback/cloud.ts';
import type { Fault } from '../loopback/faults.ts';
import type { AgentStatus, RouterStatus, RoutingSwitch } from '../shared/admin-api/status.ts';
import { type Clock, type Timer, wallMsOf } from '../shared/clock.ts';
import { systemEntropy } from '../shared/entropy.ts';
import { programUrl } from '../shared/program.ts';
import { Child, type ChildOptions } from './children.ts';
import { writeCredentials } from './credentials.ts';
import type { DeviceReport } from './device.ts';
import { fiveFreePorts, getJson, sendJson, waitFor } from './http.ts';
import type { AppliedFault } from './incidents.ts';
import type { DemoOptions } from './options.ts';
import { POLICY, RESIDENCY } from './plant.ts';
import type { ProviderRow, Snapshot } from './snapshot.ts';

const GATEWAY = 'demo-gateway';
/** Devices share processes above this many, so that a large fleet fits a laptop. */
const DEVICE_PROCESSES_MAX = 20;
/** A process that ends is reported at once; a process that starts slowly on a busy machine gets this time. */
const READY_MS_MAX = 120_000;
/** Pause between two checks for the first publish. */
const FIRST_PUBLISH_MS = 20;
const DEVICE_MODULE = fileURLToPath(programUrl('demo/device.ts'));

interface CloudView {
  name: CloudName;
  fault: Fault | null;
  meter: CloudMeter;
}

/** The last known answer of each part, kept while a part is down. */
interface Known {
  agent: AgentStatus | null;
  router: RouterStatus | null;
  clouds: CloudView[];
}

export class Scenario {
  readonly deviceLogs: string;
  readonly ledgerFile: string;
  /** Processes that ended unexpectedly, each with its exit code or signal. */
  readonly crashes: string[] = [];
  readonly appliedFaults: AppliedFault[] = [];
  readonly #dir: string;
  readonly #options: DemoOptions;
  readonly #clock: Clock;
  readonly #children = new Map<string, Child>();
  readonly #reports = new Map<string, DeviceReport>();
  readonly #timers: Timer[] = [];
  readonly #notes: string[] = [];
  readonly #known: Known = { agent: null, router: null, clouds: [] };
  /** Counters of killed agents: a new process counts from zero. */
  readonly #past = new Map<string, { accepted: number; units: number }>();
  #ports = { broker: 0, agentAdmin: 0, routerAdmin: 0, routerApi: 0 };
  #control = '';
  #previous = new Map<string, number>();
  /** Shares of the last sample with any traffic. */
  #shares: Array<{ name: string; share: number }> = [];
  #previousAcked = { acked: 0, atMs: 0 };
  #work: Promise<unknown> = Promise.resolve();
  #scheduledAtWallMs = 0;
  #notedToWallMs = 0;
  #stopped: boolean = false;

  constructor(dir: string, options: DemoOptions, clock: Clock) {
    this.#dir = dir;
    this.#options = options;
    this.#clock = clock;
    this.deviceLogs = join(dir, 'devices');
    this.ledgerFile = join(dir, 'router', 'ledger.db');
  }

  /** Starts clouds, router and agent; resolves when all are ready. */
  async start(): Promise<void> {
    await mkdir(this.deviceLogs, { recursive: true });
    const [broker, agentAdmin, routerAdmin, routerApi, control] = await fiveFreePorts(systemEntropy);
    this.#ports = { broker, agentAdmin, routerAdmin, routerApi };
    this.#control = `http://127.0.0.1:${control}`;
    this.#launch({
      name: 'clouds',
      args: ['clouds', '--control-port', String(control), '--dir', join(this.#dir, 'clouds'), '--json'],
    });
    await this.#untilReady(`${this.#control}/v1/clouds`, 'the loopback clouds');
    await this.#writeConfigs();
    this.#launch({ name: 'router', args: ['router', '--config', join(this.#dir, 'router.yaml')] });
    this.#launch({ name: 'agent', args: ['agent', '--config', join(this.#dir, 'agent.yaml')] });
    await Promise.all([
      this.#untilReady(`http://127.0.0.1:${routerAdmin}/readyz`, 'the router'),
      this.#untilReady(`http://127.0.0.1:${agentAdmin}/readyz`, 'the agent'),
    ]);
  }

  startDevices(): void {
    const count = Math.min(this.#options.devices, DEVICE_PROCESSES_MAX);
    for (let i = 0; i < count; i++) {
      const plan = {
        brokerPort: this.#ports.broker,
        dir: this.deviceLogs,
        devices: Array.from({ length: this.#options.devices }, (_, d) => d).filter((d) => d % count === i),
        ratePerDevice: this.#options.rate / this.#options.devices,
        durationMs: this.#options.duration * 1000,
        payloadBytes: this.#options.payload,
        seed: this.#options.seed,
      };
      const name = `devices-${i}`;
      this.#reports.set(name, { published: 0, acked: 0, unacked: 0, done: false });
      this.#launch({
        name,
        module: DEVICE_MODULE,
        args: [JSON.stringify(plan)],
        onMessage: (message) => this.#reports.set(name, message as DeviceReport),
      });
    }
  }

  /**
   * Resolves after the first publish of a device, or when none can come: times of faults and kills count from
   * here.
   */
  async firstPublish(signal: AbortSignal): Promise<void> {
    const isPublishing = (): boolean => [...this.#reports.values()].some(({ published }) => published > 0);
    while (!isPublishing() && !this.devicesDone && !signal.aborted) await this.#clock.sleep(FIRST_PUBLISH_MS);
  }

  get devicesDone(): boolean {
    return [...this.#reports.values()].every((report) => report.done) || this.crashes.length > 0;
  }

  /** Sets the timers of all faults and kills. */
  schedule(): void {
    this.#scheduledAtWallMs = this.#clock.wallMs();
    for (const { provider, fault, startSeconds, endSeconds } of this.#options.faults) {
      this.#at(startSeconds, () =>
        this.#applyFault(provider ?? this.#busiest(), fault, endSeconds - startSeconds),
      );
    }
    for (const { target, atSeconds } of this.#options.kills) {
      this.#at(atSeconds, async () => {
        this.#note(`SIGKILL ${target}`);
        if (target === 'agent') await this.#keepCounters();
        await this.#children.get(target)?.killAndRestart();
      });
    }
  }

  async clearFaults(): Promise<void> {
    await this.#work;
    for (const cloud of this.#known.clouds)
      await sendJson('DELETE', `${this.#control}/v1/clouds/${cloud.name}/fault`);
  }

  /** Queries every part. A part that is down keeps its last answer. */
  async snapshot(phase: string, elapsedMs: number): Promise<Snapshot> {
    const [agent, router, clouds] = await Promise.allSettled([
      getJson(`http://127.0.0.1:${this.#ports.agentAdmin}/v1/status`),
      getJson(`http://127.0.0.1:${this.#ports.routerAdmin}/v1/status`),
      getJson(`${this.#control}/v1/clouds`),
    ]);
    if (agent.status === 'fulfilled') {
      this.#known.agent = agent.value as AgentStatus;
      this.#noteSwitches(this.#known.agent.switches);
    }
    if (router.status === 'fulfilled') this.#known.router = router.value as RouterStatus;
    if (clouds.status === 'fulfilled') this.#known.clouds = clouds.value as CloudView[];
    const acked = [...this.#reports.values()].reduce((sum, report) => sum + report.acked, 0);
    const inLedger = this.#known.router?.ledger?.records ?? 0;
    const streams = this.#known.agent?.streams ?? [];
    const now = this.#clock.monoMs();
    const since = Math.max(1, now - this.#previousAcked.atMs);
    const ackedPerSecond = Math.round(((acked - this.#previousAcked.acked) * 1000) / since);
    this.#previousAcked = { acked, atMs: now };
    return {
      seconds: Math.round(elapsedMs / 1000),
      durationSeconds: this.#options.duration,
      phase,
      acked,
      ackedPerSecond,
      inLedger,
      backlog: streams.reduce((sum, stream) => sum + stream.pending, 0),
      unconfirmed: streams.reduce((sum, stream) => sum + stream.awaitingReceipt, 0),
      answered: agent.status === 'fulfilled' && router.status === 'fulfilled',
      unsettled: this.#known.clouds.reduce((sum, { meter }) => sum + meter.unsettled, 0),
      duplicatesReconciled: this.#known.router?.ledger?.duplicates ?? 0,
      missing: Math.max(0, acked - inLedger),
      providers: this.#providerRows(),
      streams: streams.map(({ name, chosen, pending, ratePerSecond }) => ({
        name,
        chosen: chosen.length > 0 ? chosen.join(', ') : null,
        pending,
        ratePerSecond,
      })),
      notes: [...this.#notes],
    };
  }

  /**
   * Publishes of the residency stream that a provider outside its zone accepted, by that provider's own
   * count.
   */
  residencyViolations(): number {
    return this.#known.clouds
      .filter(({ name }) => RESIDENCY.outside.some((outside) => outside === name))
      .reduce((sum, { meter }) => sum + (meter.perStream[RESIDENCY.stream] ?? 0), 0);
  }

  /** Ends every process, devices first, clouds last. Idempotent. */
  async stop(): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    for (const timer of this.#timers) timer.cancel();
    await this.#work;
    const names = [...this.#children.keys()].reverse();
    const service = ['agent', 'router', 'clouds'];
    await Promise.all(names.filter((name) => !service.includes(name)).map((name) => this.#stopChild(name)));
    for (const name of service) await this.#stopChild(name);
  }

  /** Kills the running processes without waiting. */
  destroy(): void {
    for (const child of this.#children.values()) child.destroy();
  }

  #untilReady(url: string, what: string): Promise<void> {
    return waitFor(
      () => getJson(url),
      READY_MS_MAX,
      this.#clock,
      what,
      () => this.crashes[0],
    );
  }

  #launch(options: ChildOptions): void {
    const child = new Child(this.#dir, options, (name, how) => {
      this.crashes.push(`${name} ended by itself: ${how}; see ${child.logFile}`);
    });
    this.#children.set(options.name, child);
    child.start();
  }

  async #stopChild(name: string): Promise<void> {
    await this.#children.get(name)?.stop(this.#clock);
  }

  #at(seconds: number, run: () => Promise<void>): void {
    const guarded = (): void => {
      this.#work = this.#work.then(run).catch((error: unknown) => {
        this.crashes.push(`the demo's schedule failed: ${error instanceof Error ? error.message : error}`);
      });
    };
    this.#timers.push(this.#clock.setTimer(seconds * 1000, guarded, true));
  }

  async #applyFault(provider: CloudName, fault: string, seconds: number): Promise<void> {
    const url = `${this.#control}/v1/clouds/${provider}/fault`;
    const startWallMs = this.#clock.wallMs();
    await sendJson('PUT', url, { fault });
    this.#note(`${provider}: ${fault} begins`);
    this.appliedFaults.push({ provider, fault, startWallMs, endWallMs: startWallMs + seconds * 1000 });
    this.#at(seconds, async () => {
      await sendJson('DELETE', url);
      this.#note(`${provider}: ${fault} is over`);
    });
  }

  #busiest(): CloudName {
    const [first] = this.#shares.toSorted((a, b) => b.share - a.share);
    return this.#known.clouds.find(({ name }) => name === first?.name)?.name ?? 'aws';
  }

  #note(text: string, atWallMs = this.#clock.wallMs()): void {
    const seconds = (atWallMs - this.#scheduledAtWallMs) / 1000;
    this.#notes.push(`${seconds.toFixed(1).padStart(5)} s  ${text}`);
  }

  /** Reports each switch once, except the first choice of a stream. */
  #noteSwitches(switches: readonly RoutingSwitch[]): void {
    for (const { at, stream, from, to, reason } of switches) {
      const atWallMs = wallMsOf(at);
      if (from === null || atWallMs <= this.#notedToWallMs) continue;
      this.#note(`${stream}: ${from} → ${to ?? 'nothing'} (${reason})`, atWallMs);
    }
    const last = switches.at(-1);
    if (last) this.#notedToWallMs = Math.max(this.#notedToWallMs, wallMsOf(last.at));
  }

  async #keepCounters(): Promise<void> {
    const last = await getJson(`http://127.0.0.1:${this.#ports.agentAdmin}/v1/status`).catch(() => null);
    if (last !== null) this.#known.agent = last as AgentStatus;
    for (const { name, accepted, units } of this.#known.agent?.providers ?? []) {
      const past = this.#past.get(name) ?? { accepted: 0, units: 0 };
      this.#past.set(name, { accepted: past.accepted + accepted, units: past.units + units });
    }
    this.#known.agent = null;
  }

  #providerRows(): ProviderRow[] {
    const rows = this.#known.clouds.map(({ name, fault, meter }): ProviderRow => {
      const status = this.#known.agent?.providers.find((provider) => provider.name === name);
      const past = this.#past.get(name) ?? { accepted: 0, units: 0 };
      return {
        name,
        fault: fault?.name ?? null,
        state: status?.health ?? 'unknown',
        score: status?.score ?? null,
        share: 0,
        accepted: past.accepted + (status?.accepted ?? 0),
        p50Ms: status?.p50Ms ?? null,
        predictedUnits: past.units + (status?.units ?? 0),
        meteredUnits: meter.units,
      };
    });
    const recent = rows.map((row) => Math.max(0, row.accepted - (this.#previous.get(row.name) ?? 0)));
    const sum = recent.reduce((total, count) => total + count, 0);
    for (const [i, row] of rows.entries()) row.share = sum > 0 ? (recent[i] ?? 0) / sum : 0;
    if (sum > 0) this.#shares = rows.map(({ name, share }) => ({ name, share }));
    this.#previous = new Map(rows.map((row) => [row.name, row.accepted]));
    return rows;
  }

  async #writeConfigs(): Promise<void> {
    const entries = await Promise.all(
      (['aws', 'azure', 'gcp'] as const).map(
        (name) =>
          getJson(`${this.#control}/v1/clouds/${name}/config?gateway=${GATEWAY}`) as Promise<{
            agent: Record<string, unknown>;
            router: Record<string, unknown>;
          }>,
      ),
    );
    const deps = { clock: this.#clock, entropy: systemEntropy };
    const https = await writeCredentials(join(this.#dir, 'https'), GATEWAY, deps);
    const { routerApi } = this.#ports;
    const agent = {
      gateway: GATEWAY,
      data_dir: join(this.#dir, 'agent'),
      signing: { envelopes: true, key_file: https.agent.token_key_file },
      receipts: { accept: 'signed', router_keys_file: https.receipts.router_keys_file },
      admin: { port: this.#ports.agentAdmin },
      broker: { allow_anonymous: true, listeners: [{ type: 'tcp', port: this.#ports.broker }] },
      providers: entries.map((entry) => entry.agent),
      downlinks: [{ type: 'https', name: 'router', url: `https://localhost:${routerApi}`, ...https.agent }],
      policy: POLICY,
    };
    const router = {
      data_dir: join(this.#dir, 'router'),
      gateways_file: https.router.gateways_file,
      signing: { key_file: https.receipts.key_file },
      receipts: { unsigned_copy: false },
      admin: { port: this.#ports.routerAdmin },
      sources: [
        ...entries.map(({ router: source }) => ({
          ...source,
          accept: 'signed',
          // A killed router's messages are redelivered after this time.
          ...(source['type'] === 'aws' ? { visibility_timeout: '5s' } : {}),
        })),
        { type: 'https', name: 'https', port: routerApi, accept: 'signed', ...https.router },
      ],
      feeds: [{ type: 'ndjson', name: 'records', file: join(this.#dir, 'records.ndjson') }],
    };
    await writeFile(join(this.#dir, 'agent.yaml'), stringify(agent), { mode: 0o600 });
    await writeFile(join(this.#dir, 'router.yaml'), stringify(router), { mode: 0o600 });
  }
}
