/**
 * An agent that starts on a disk that fails: named states, nothing acknowledged, recovery by itself, nothing
 * lost (I1, I2, I9). Needs a C compiler.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { connect, connectAsync } from 'mqtt';
import t from 'tap';
import { fiveFreePorts } from '../../demo/http.ts';
import { systemClock } from '../../shared/clock.ts';
import { seededEntropy, systemEntropy } from '../../shared/entropy.ts';
import { type AgentFolder, AgentProcess, bufferFileIn, writeConfig } from '../crash/agent-process.ts';
import { Checker } from '../crash/checker.ts';
import { Fleet } from '../crash/fleet.ts';
import { testDir } from '../test-dir.ts';
import { until } from '../until.ts';
import { FaultyDisk } from './disk.ts';

/** By when an agent that recovers has taken this many more. */
const TAKEN = 100;

t.setTimeout(900_000);

const FAULTS = [
  { call: 'write', error: 'ENOSPC', state: 'disk-full' },
  { call: 'sync', error: 'EIO', state: 'io-error' },
  { call: 'open', error: 'EIO', state: 'io-error' },
  { call: 'any', error: 'EROFS', state: 'read-only' },
] as const;

async function untilTaken(fleet: Fleet, count: number): Promise<void> {
  await until(`${count} records are acknowledged`, () => fleet.acknowledged.size >= count);
}

/** Round trips of an agent that refuses everything: it would acknowledge between them if it did. */
async function refusals(port: number, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    const device = connect(`mqtt://127.0.0.1:${port}`, { protocolVersion: 4, reconnectPeriod: 0 });
    device.on('error', () => undefined); // Its connection is ended; that is awaited below.
    const closed = new Promise<void>((resolve) => device.once('close', resolve));
    device.publish('plant/refused', 'x', { qos: 1 });
    await closed;
    await device.endAsync(true);
  }
}

for (const { call, error, state } of FAULTS) {
  t.test(`${error} on ${call} at the start: ${state}, until it is over`, async (t) => {
    const dir = testDir(t);
    const [broker, admin, one, two] = await fiveFreePorts(systemEntropy);
    const folder: AgentFolder = { dir, ports: { broker, admin, providers: [one, two] } };
    mkdirSync(join(dir, 'data'));
    writeConfig(folder);
    const disk = new FaultyDisk(dir);
    const first = new AgentProcess(folder, systemClock, { env: disk.env });
    await first.untilReady();
    const checker = new Checker(bufferFileIn(dir));
    const fleet = new Fleet({ port: broker, entropy: seededEntropy(11) });
    await untilTaken(fleet, TAKEN);
    await first.kill();

    disk.fail(call, error);
    const agent = new AgentProcess(folder, systemClock, { env: disk.env });
    await agent.untilReady();
    const ready = await fetch(`http://127.0.0.1:${admin}/readyz`);
    t.match({ status: ready.status, text: await ready.text() }, { status: 503, text: new RegExp(state) });
    const reader = await connectAsync(`mqtt://127.0.0.1:${broker}`, { protocolVersion: 4 });
    const local: string[] = [];
    reader.on('message', (_, payload) => local.push(payload.toString()));
    await reader.subscribeAsync('local/#');
    await reader.publishAsync('local/x', 'meanwhile');
    await until('QoS 0 between devices goes on', () => local.includes('meanwhile'));
    await refusals(broker, 10);
    // With the acknowledgements that had not been read yet.
    const told = fleet.acknowledged.size;
    await refusals(broker, 20);
    // A device that comes back late still gets its PUBCOMP for a record that lies on the disk already.
    const since = [...fleet.acknowledged.values()].slice(told);
    t.strictSame(
      since.filter(({ qos }) => qos === 1),
      [],
      'nothing is acknowledged (I1)',
    );

    disk.heal();
    await untilTaken(fleet, told + TAKEN);
    await agent.kill();
    const { lost, duplicatedIds } = checker.check(fleet.acknowledged);
    t.same({ lost, duplicatedIds }, { lost: 0, duplicatedIds: 0 });
    const said = readFileSync(join(dir, 'agent.log'), 'utf8');
    t.match(said, new RegExp(`"store.state","state":"${state}","folder":"${join(dir, 'data')}","advice":"`));
    await Promise.all([fleet.stop(), reader.endAsync(true)]);
  });
}

t.test('a file system mounted read-only at the start, and writable later', async (t) => {
  const place = testDir(t, { mount: {} });
  const script = fileURLToPath(new URL('read-only-start.ts', import.meta.url));
  const command = 'mount -t tmpfs tmpfs "$1/mount" && exec "$2" "$3" "$1/mount"';
  const own = ['--mount', '--map-root-user', 'sh', '-c', command, 'sh', place, process.execPath, script];
  const { status, stdout, stderr } = spawnSync('unshare', own, { encoding: 'utf8', timeout: 600_000 });
  t.equal(status, 0, `needs unshare(1) and leave to mount in a namespace of its own: ${stderr}`);
  t.strictSame(JSON.parse(stdout.trim().split('\n').at(-1) ?? '{}'), {
    states: ['read-only', 'ok', 'read-only', 'ok'],
    refused: ['failed read-only', 'failed read-only'],
    found: ['a', 'b'],
  });
});
