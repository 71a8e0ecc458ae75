/**
 * A disk that fails under a running agent: named states, nothing acknowledged that is lost, recovery by
 * itself (I1, I2, I9). Needs a C compiler.
 */

import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { connectAsync } from 'mqtt';
import t, { type Test } from 'tap';
import { fiveFreePorts } from '../../demo/http.ts';
import { systemClock } from '../../shared/clock.ts';
import { seededEntropy, systemEntropy } from '../../shared/entropy.ts';
import { type AgentFolder, AgentProcess, bufferFileIn, writeConfig } from '../crash/agent-process.ts';
import { Checker } from '../crash/checker.ts';
import { Fleet } from '../crash/fleet.ts';
import { testDir } from '../test-dir.ts';
import { until } from '../until.ts';
import { FaultyDisk } from './disk.ts';

/** Timings are of a machine that does other things too: the best of so many rounds counts. */
const ROUNDS = 8;
const SLOW_SYNC_MS = 2000;
const PING_MS_MAX = 100;
const LAG_SYNC_MS = 20;
const LAG_RATE = 1000;
const LAG_P99_MS_MAX = 5;
const NTH_CALLS = 40;

interface Plant {
  folder: AgentFolder;
  disk: FaultyDisk;
  agent: AgentProcess;
}

async function started(t: Test): Promise<Plant> {
  const dir = testDir(t);
  const [broker, admin, one, two] = await fiveFreePorts(systemEntropy);
  const folder: AgentFolder = { dir, ports: { broker, admin, providers: [one, two] } };
  mkdirSync(join(dir, 'data'));
  writeConfig(folder);
  const disk = new FaultyDisk(dir);
  const agent = new AgentProcess(folder, systemClock, { env: disk.env });
  await agent.untilReady();
  return { folder, disk, agent };
}

async function metric({ ports }: AgentFolder, name: string): Promise<number> {
  const response = await fetch(`http://127.0.0.1:${ports.admin}/metrics`);
  const line = (await response.text()).split('\n').find((one) => one.startsWith(`headgate_agent_${name} `));
  return Number(line?.split(' ').at(-1) ?? Number.NaN);
}

async function untilState(folder: AgentFolder, state: string): Promise<void> {
  await until(
    `the store is ${state}`,
    async () => (await metric(folder, `store_state{state="${state}"}`)) === 1,
  );
}

const FAULTS = [
  { call: 'write', error: 'ENOSPC', state: 'disk-full' },
  { call: 'sync', error: 'EIO', state: 'io-error' },
  { call: 'write', error: 'EIO', state: 'io-error' },
  { call: 'any', error: 'EROFS', state: 'read-only' },
] as const;

for (const { call, error, state } of FAULTS) {
  t.test(`${error} on ${call}: ${state}, until it is over`, async (t) => {
    const { folder, disk, agent } = await started(t);
    const checker = new Checker(bufferFileIn(folder.dir));
    const fleet = new Fleet({ port: folder.ports.broker, entropy: seededEntropy(7) });
    const reader = await connectAsync(`mqtt://127.0.0.1:${folder.ports.broker}`, { protocolVersion: 4 });
    const local: string[] = [];
    reader.on('message', (_, payload) => local.push(payload.toString()));
    await reader.subscribeAsync('local/#');
    await until('devices are told of records', () => fleet.acknowledged.size > 0);
    disk.fail(call, error);
    await untilState(folder, state);
    // Records that were acknowledged before are on their way.
    await sleep(200);
    const told = fleet.acknowledged.size;
    t.ok(told > 0, `${told} acknowledged before`);
    const ready = await fetch(`http://127.0.0.1:${folder.ports.admin}/readyz`);
    t.equal(ready.status, 503);
    t.match(await ready.text(), new RegExp(state));
    await reader.publishAsync('local/x', 'meanwhile');
    await until('QoS 0 between devices goes on', () => local.includes('meanwhile'));
    await sleep(500);
    t.equal(fleet.acknowledged.size, told, 'nothing is acknowledged (I1)');
    disk.heal();
    await untilState(folder, 'ok');
    await until('it goes on by itself', () => fleet.acknowledged.size >= told + 100);
    await agent.kill();
    const { lost, duplicatedIds } = checker.check(fleet.acknowledged);
    t.same({ lost, duplicatedIds }, { lost: 0, duplicatedIds: 0 });
    await Promise.all([fleet.stop(), reader.endAsync(true)]);
  });
}

t.test(`each of the first ${NTH_CALLS} writes and syncs fails once`, async (t) => {
  const { folder, disk, agent } = await started(t);
  const checker = new Checker(bufferFileIn(folder.dir));
  const fleet = new Fleet({ port: folder.ports.broker, entropy: seededEntropy(8) });
  let failed = 0;
  for (const call of ['write', 'sync'] as const) {
    for (let at = 0; at < NTH_CALLS; at += 4) {
      const told = fleet.acknowledged.size;
      disk.fail(call, 'EIO', at);
      await until(`it goes on after ${call} ${at}`, () => fleet.acknowledged.size >= told + 1500);
      failed += 1;
    }
  }
  t.equal(failed, NTH_CALLS / 2);
  await agent.kill();
  const { lost, duplicatedIds } = checker.check(fleet.acknowledged);
  t.same({ lost, duplicatedIds }, { lost: 0, duplicatedIds: 0 });
  await fleet.stop();
});

t.test(
  `the broker answers PINGREQ within ${PING_MS_MAX} ms while each sync takes ${SLOW_SYNC_MS} ms`,
  async (t) => {
    const { folder, disk, agent } = await started(t);
    const fleet = new Fleet({ port: folder.ports.broker, entropy: seededEntropy(9) });
    await until('devices are told of records', () => fleet.acknowledged.size > 0);
    disk.delaySyncs(SLOW_SYNC_MS);
    let best = Number.POSITIVE_INFINITY;
    for (let round = 0; round < ROUNDS && best > PING_MS_MAX; round++) {
      const took = await pings(folder.ports.broker, 60);
      best = Math.min(best, Math.max(...took));
      t.comment(`round ${round}: max ${Math.max(...took).toFixed(1)} ms of ${took.length} pings`);
    }
    t.ok(best <= PING_MS_MAX, `${best.toFixed(1)} ms`);
    disk.heal();
    await agent.kill();
    await fleet.stop();
  },
);

/** Milliseconds from PINGREQ to PINGRESP, one after the other. */
async function pings(port: number, count: number): Promise<number[]> {
  const client = await connectAsync(`mqtt://127.0.0.1:${port}`, { protocolVersion: 4, reconnectPeriod: 0 });
  const took: number[] = [];
  for (let i = 0; i < count; i++) {
    const sentMs = performance.now();
    const answered = new Promise<void>((resolve) => {
      const listen = ({ cmd }: { cmd: string }): void => {
        if (cmd !== 'pingresp') return;
        client.off('packetreceive', listen);
        resolve();
      };
      client.on('packetreceive', listen);
    });
    client.stream.write(Buffer.from([0xc0, 0]));
    await answered;
    took.push(performance.now() - sentMs);
    await sleep(50);
  }
  await client.endAsync(true);
  return took;
}

t.test(`event-loop lag with syncs of ${LAG_SYNC_MS} ms at ${LAG_RATE} messages/s`, async (t) => {
  const { folder, disk, agent } = await started(t);
  disk.delaySyncs(LAG_SYNC_MS);
  const client = await connectAsync(`mqtt://127.0.0.1:${folder.ports.broker}`, { protocolVersion: 4 });
  let acknowledged = 0;
  let sent = 0;
  const load = setInterval(() => {
    for (let i = 0; i < LAG_RATE / 50; i++) {
      sent += 1;
      client.publish('plant/d/t', `{"n":${sent}}`.padEnd(100, ' '), { qos: 1 }, () => {
        acknowledged += 1;
      });
    }
  }, 20);
  await sleep(2000);
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS && best > LAG_P99_MS_MAX; round++) {
    await metric(folder, 'event_loop_lag_seconds{quantile="0.99"}');
    await sleep(5000);
    const lagMs = (await metric(folder, 'event_loop_lag_seconds{quantile="0.99"}')) * 1000;
    best = Math.min(best, lagMs);
    t.comment(`round ${round}: p99 ${lagMs.toFixed(2)} ms`);
  }
  clearInterval(load);
  t.ok(acknowledged > 3000, `${acknowledged} of ${sent} acknowledged`);
  t.ok(best <= LAG_P99_MS_MAX, `${best.toFixed(2)} ms`);
  await client.endAsync(true);
  await agent.kill();
});

t.test(
  'a small file system runs full: the reserve lets what waits be delivered, then intake goes on',
  async (t) => {
    const place = testDir(t, { mount: {} });
    const seen = inOwnNamespace(t, 'full-disk.ts', 'mount -t tmpfs -o size=48m tmpfs "$1/mount"', place);
    t.match(seen, {
      // A failed write frees the log: there may be room again for a while.
      states: /^ok(?:,disk-full,ok)+$/,
      refusal: 'disk-full',
      stateThen: 'disk-full',
      inMemory: 2,
      missing: 0,
      takenAfterwards: 100,
    });
  },
);

t.test(
  'a mount that vanishes under the buffer: refused until it is back, nothing begun beside it, nothing lost',
  async (t) => {
    const place = testDir(t, { mount: {}, disk: {} });
    t.strictSame(inOwnNamespace(t, 'vanished-mount.ts', 'mount --bind "$1/disk" "$1/mount"', place), {
      states: ['ok', 'missing', 'ok'],
      refused: 'failed missing',
      bare: [],
      found: ['a', 'b', 'c', 'd'],
    });
  },
);

/** Runs a script of this folder where only it sees what `mount` mounts; gives what its last line says. */
function inOwnNamespace(t: Test, script: string, mount: string, place: string): unknown {
  const file = fileURLToPath(new URL(script, import.meta.url));
  const command = `${mount} && exec "$2" "$3" "$1/mount" "$1/disk"`;
  const own = ['--mount', '--map-root-user', 'sh', '-c', command, 'sh', place, process.execPath, file];
  const { status, stdout, stderr } = spawnSync('unshare', own, { encoding: 'utf8', timeout: 600_000 });
  t.equal(status, 0, `needs unshare(1) and leave to mount in a namespace of its own: ${stderr}`);
  return JSON.parse(stdout.trim().split('\n').at(-1) ?? '{}');
}

t.test('without a compiler it says how to get one', async (t) => {
  const program = `import { FaultyDisk } from ${JSON.stringify(new URL('./disk.ts', import.meta.url).href)};
    try { new FaultyDisk('/tmp') } catch (error) { console.log(error.message) }`;
  const said = execFileSync(process.execPath, ['--input-type=module', '-e', program], {
    encoding: 'utf8',
    env: { PATH: '/nowhere' },
  });
  t.match(said, 'apt-get install gcc libc6-dev');
});
