/**
 * Agent and router without a free file descriptor: whoever asks for metrics and status over a connection that
 * stands gets them, and records go in and out. `prlimit` of util-linux takes the descriptors away.
 */
import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { request as ask, Agent as HttpAgent } from 'node:http';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { connectAsync } from 'mqtt';
import t, { type Test } from 'tap';
import { stringify } from 'yaml';
import { z } from 'zod';
import { AwsCloud } from '../../loopback/aws.ts';
import { type CertificateAuthority, createCertificateAuthority } from '../../loopback/ca.ts';
import { systemClock as clock } from '../../shared/clock.ts';
import { systemEntropy as entropy } from '../../shared/entropy.ts';
import { createLogger } from '../../shared/log.ts';
import { AgentProcess, configFile } from '../crash/agent-process.ts';
import { testDir } from '../test-dir.ts';
import { until } from '../until.ts';
import { freePort } from './free-port.ts';
import { routerProcess } from './router-process.ts';

const log = createLogger({ level: 'silent', levels: {} });
const RECORDS = 200;
/** Answered from memory. */
const PATHS = ['/metrics', '/v1/status', '/healthz', '/readyz'];
const AGENT_PATHS = [...PATHS, '/v1/explain', '/v1/clients', '/v1/costs', '/v1/holds'];
/** The ledger's file is open. */
const ROUTER_PATHS = [...PATHS, '/v1/status?limit=1', '/v1/completeness?gateway=gw-1', '/v1/maintenance'];
/** Answered from the history's files. */
const HISTORY_PATHS = [
  `/v1/explain?at=${new Date(clock.wallMs() + 86_400_000).toISOString()}`,
  '/v1/where?id=gw-1/1-00000000/telemetry/1',
];

const agentStatus = z.object({
  kind: z.literal('agent'),
  broker: z.object({ deviceFile: z.string() }),
  buffer: z.object({ state: z.string(), rows: z.number() }),
});
const routerStatus = z.object({ kind: z.literal('router'), ledger: z.object({ records: z.number() }) });

/** Asks over one connection, which stands from the first question on. */
class KeptConnection {
  readonly #base: string;
  readonly #agent = new HttpAgent({ keepAlive: true, maxSockets: 1 });

  constructor(t: Test, base: string) {
    this.#base = base;
    t.teardown(() => this.#agent.destroy());
  }

  ask(path: string, change?: object): Promise<{ status: number; text: string }> {
    return new Promise((resolve, reject) => {
      const sent = change && { method: 'PUT', headers: { 'content-type': 'application/json' } };
      const request = ask(new URL(path, this.#base), { agent: this.#agent, ...sent }, (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk) => {
          text += chunk;
        });
        response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
      });
      request.on('error', reject);
      request.end(change && JSON.stringify(change));
    });
  }

  async json<T>(path: string, schema: z.ZodType<T>): Promise<T> {
    return schema.parse(JSON.parse((await this.ask(path)).text));
  }
}

/** Leaves the process the descriptors that it has, and not one more. */
function takeDescriptors(pid: number): void {
  const open = new Set(readdirSync(`/proc/${pid}/fd`).map(Number));
  let free = 0;
  while (open.has(free)) free += 1;
  execFileSync('prlimit', ['--pid', String(pid), `--nofile=${free}:`]);
}

function giveDescriptors(pid: number): void {
  execFileSync('prlimit', ['--pid', String(pid), '--nofile=1024:']);
}

/** Serial number of the certificate that the listener shows. */
async function serialAt(port: number): Promise<string> {
  const socket = connectTls({ host: '127.0.0.1', port, rejectUnauthorized: false });
  await once(socket, 'secureConnect');
  const { serialNumber } = socket.getPeerCertificate();
  socket.destroy();
  return serialNumber;
}

async function startAws(t: Test, dir: string, ca: CertificateAuthority): Promise<AwsCloud> {
  const caFile = join(dir, 'ca.pem');
  writeFileSync(caFile, ca.ca);
  const cloud = new AwsCloud({ ca, caFile, clock, entropy, log });
  await cloud.start();
  t.teardown(() => cloud.stop());
  return cloud;
}

t.test('no descriptor is free: metrics and status are answered, records go in and out', async (t) => {
  const dir = testDir(t);
  const ca = await createCertificateAuthority(clock, entropy);
  const cloud = await startAws(t, dir, ca);
  const tls = { cert_file: join(dir, 'broker.crt'), key_file: join(dir, 'broker.key') };
  /** Gives the broker's TLS listener a new certificate; returns its serial number. */
  const renew = async (): Promise<string> => {
    const { cert, key } = await ca.issue('localhost', 'server');
    writeFileSync(tls.cert_file, cert);
    writeFileSync(tls.key_file, key);
    return new X509Certificate(cert).serialNumber;
  };
  await renew();
  const feed = { type: 'ndjson', name: 'records', file: join(dir, 'records.ndjson') };
  const router = await routerProcess(join(dir, 'router'), {
    sources: [cloud.routerConfig()],
    feeds: [feed],
  });
  t.teardown(() => router.kill());
  await router.start();
  const [brokerPort, tlsPort, adminPort] = [await freePort(), await freePort(), await freePort()];
  const agentDir = join(dir, 'agent');
  mkdirSync(agentDir);
  writeFileSync(
    configFile(agentDir),
    stringify({
      gateway: 'gw-1',
      data_dir: join(agentDir, 'data'),
      admin: { port: adminPort },
      broker: {
        allow_anonymous: true,
        listeners: [
          { type: 'tcp', port: brokerPort },
          { type: 'tls', port: tlsPort, ...tls },
        ],
      },
      providers: [cloud.agentConfig('gw-1')],
      policy: { streams: { telemetry: { topics: ['#'] } } },
    }),
  );
  const said: string[] = [];
  const agent = new AgentProcess({ dir: agentDir }, clock, { onLine: (line) => said.push(line) });
  t.teardown(() => agent.kill().catch(() => undefined));
  await agent.untilReady();

  const device = await connectAsync(`mqtt://127.0.0.1:${brokerPort}`, { protocolVersion: 4 });
  t.teardown(() => device.endAsync(true));
  const toAgent = new KeptConnection(t, `http://127.0.0.1:${adminPort}`);
  const toRouter = new KeptConnection(t, router.adminUrl);
  const publish = (from: number): Promise<unknown> =>
    Promise.all(
      Array.from({ length: RECORDS }, (_, n) => device.publishAsync('plant/a', `${from + n}`, { qos: 1 })),
    );
  const inLedger = async (): Promise<number> =>
    (await toRouter.json('/v1/status', routerStatus)).ledger.records;
  await publish(0);
  await until('the first records are in the ledger', async () => (await inLedger()) === RECORDS);
  for (const path of [...AGENT_PATHS, ...HISTORY_PATHS]) t.equal((await toAgent.ask(path)).status, 200, path);
  for (const path of ROUTER_PATHS) t.equal((await toRouter.ask(path)).status, 200, path);

  const pids = [agent.pid, router.pid()].filter((pid) => pid !== undefined);
  for (const pid of pids) takeDescriptors(pid);
  await t.rejects(new KeptConnection(t, router.adminUrl).ask('/healthz'), 'no new connection');
  const devices = { version: 1, devices: [], groups: [{ name: 'pumps', rules: [] }] };
  writeFileSync(join(agentDir, 'data', 'devices.json'), JSON.stringify(devices));
  const renewed = await renew();
  const deviceFile = async (): Promise<string> =>
    (await toAgent.json('/v1/status', agentStatus)).broker.deviceFile;
  await publish(RECORDS);
  for (const [name, kept, paths] of [
    ['agent', toAgent, AGENT_PATHS],
    ['router', toRouter, ROUTER_PATHS],
  ] as const) {
    for (const path of paths) {
      const { status, text } = await kept.ask(path);
      t.equal(status, 200, `${name} ${path}: ${text.slice(0, 300)}`);
    }
  }
  for (const path of HISTORY_PATHS) {
    const { status, text } = await toAgent.ask(path);
    t.match({ status, text }, { status: 503, text: /no file descriptor is free/ }, path);
  }
  const hold = await toAgent.ask('/v1/holds', { provider: 'aws', for: '1s', reason: 'a test' });
  t.match(hold, { status: 200, text: /"kept":false/ }, 'a hold counts, and says that it is not in its file');
  await until('the other records are in the ledger', async () => (await inLedger()) === 2 * RECORDS);
  await until('the buffer is empty', async () => {
    const { buffer } = await toAgent.json('/v1/status', agentStatus);
    t.equal(buffer.state, 'ok');
    return buffer.rows === 0;
  });

  await until('the agent has tried the new device file', async () => (await deviceFile()) === 'unreadable');
  const isRefused = (): boolean => said.some((line) => line.includes('broker.certificate_refused'));
  await until('the agent has tried the new certificate', isRefused);
  for (const pid of pids) giveDescriptors(pid);
  await until('the device file is read', async () => (await deviceFile()) === 'ok');
  await until('the new certificate is in force', async () => (await serialAt(tlsPort)) === renewed);
  await until('new connections are taken', async () => (await router.readiness())?.status === 200);
  t.equal(await router.stop(), 0);
});
