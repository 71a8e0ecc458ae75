/**
 * Every part of an agent's folder, each missing, put back from an older copy, or of another gateway, beside
 * parts that are newer: the agent starts or says why not, and its records and ids stay right (I2, I3, I9).
 * docs/explanation/durability.md has the same table.
 */
import { cpSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { stringify } from 'yaml';
import { NO_AMOUNT, Usage } from '../../agent/cost/usage.ts';
import { writeUsageFile } from '../../agent/cost/usage-file.ts';
import { systemClock } from '../../shared/clock.ts';
import { command } from '../cli/run.ts';
import { AgentProcess, configFile } from '../crash/agent-process.ts';
import { freePort } from '../servers/free-port.ts';
import { testDir } from '../test-dir.ts';
import { bufferFile, contents, record, storeOn } from './store/fixture.ts';

t.setTimeout(600_000);

type Mix = 'missing' | 'older' | 'foreign';

interface Expected {
  /** In the log; null: nothing is said, since the part is taken as it is. */
  said: RegExp | null;
  /** The exit code of an agent that does not start. */
  code?: 78;
}

interface Part {
  /** Whether the name in data_dir belongs to the part. */
  has: (name: string) => boolean;
  missing: Expected;
  older: Expected;
  foreign: Expected;
}

const HARMLESS: Expected = { said: null };
const named =
  (...names: string[]) =>
  (name: string): boolean =>
    names.includes(name);

/** All parts. What follows from each is in the table of the docs. */
const PARTS: Readonly<Record<string, Part>> = {
  buffer: {
    has: (name) => name.startsWith('buffer.db'),
    missing: { said: /"event":"store.opened".*"rows":0/ },
    older: { said: /"event":"store.opened".*"rows":1,/ },
    foreign: { said: /holds records of gateway gw-2, and this agent is gateway gw-1.*put this/, code: 78 },
  },
  usage: {
    has: named('usage.json'),
    missing: HARMLESS,
    older: HARMLESS,
    foreign: { said: /cost.usage_file_damaged.*it is of gateway gw-2/ },
  },
  holds: {
    has: named('holds.json'),
    missing: HARMLESS,
    older: HARMLESS,
    foreign: { said: /hold.file_damaged.*it is of gateway gw-2/ },
  },
  routing: {
    has: named('routing.json'),
    missing: HARMLESS,
    older: { said: /routing.restored/ },
    foreign: { said: /routing.begins_afresh.*it is of gateway gw-2/ },
  },
  policyRules: {
    has: named('policy-rules.json'),
    missing: HARMLESS,
    older: HARMLESS,
    foreign: { said: /policy.rules_damaged.*it is of gateway gw-2/ },
  },
  devices: { has: named('devices.json'), missing: HARMLESS, older: HARMLESS, foreign: HARMLESS },
  history: { has: named('history'), missing: HARMLESS, older: HARMLESS, foreign: HARMLESS },
  keys: {
    has: named('keys'),
    missing: { said: /"event":"keys.made"/ },
    older: { said: /"event":"keys.unsigned"/ },
    foreign: { said: /"event":"keys.unsigned"/ },
  },
  audit: {
    has: named('audit'),
    missing: HARMLESS,
    older: HARMLESS,
    foreign: HARMLESS,
  },
};

/** Made anew at each start, or left beside by a crash: no state of their own. */
const PASSING = named('lock', 'reserve');

const ports = [await freePort(), await freePort()] as const;

function configure(dir: string, gateway: string): void {
  const [port, admin] = ports;
  const config = {
    ...{ gateway, data_dir: join(dir, 'data'), admin: { port: admin } },
    broker: { allow_anonymous: true, listeners: [{ type: 'tcp', host: '127.0.0.1', port }] },
    providers: [{ name: 'site', type: 'mqtt', url: 'mqtt://127.0.0.1:1' }],
    policy: { version: 1, streams: { telemetry: { topics: ['#'] } } },
  };
  writeFileSync(configFile(dir), stringify(config));
}

/** One start of the agent; its log, and how it ended. */
async function run(dir: string, during: () => Promise<unknown> = async () => undefined): Promise<string> {
  const lines: string[] = [];
  const agent = new AgentProcess({ dir }, systemClock, { onLine: (line) => lines.push(line) });
  const ready = await agent.untilReady().then(
    () => true,
    () => false,
  );
  if (ready) {
    await during();
    if (agent.pid !== undefined) process.kill(agent.pid, 'SIGTERM');
  }
  return `${lines.join('\n')}\n${await agent.untilEnded()}`;
}

/** Something new in each part. */
async function live(dir: string, gateway: string, round: number): Promise<void> {
  const file = join(dir, 'data');
  const { store } = storeOn(bufferFile(file), { gateway });
  await store.start();
  await store.append(record(`reading ${round}`));
  await store.stop();
  // An agent whose provider is out of reach is billed nothing, and writes no count.
  const usage = new Usage(null, 0);
  usage.add('site', 'telemetry', { ...NO_AMOUNT, units: round });
  await writeUsageFile(join(file, 'usage.json'), usage.snapshot(), gateway);
  const added = ['device', 'add', `pump-${round}`, '--config', configFile(dir)];
  const { code, stderr } = await command(added);
  if (code !== 0) throw new Error(stderr);
  const admin = `http://127.0.0.1:${ports[1]}`;
  await run(dir, () => command(['hold', 'add', 'site', '--reason', `round ${round}`, '--admin', admin]));
}

const base = testDir(t);
const [older, newer, foreign] = ['older', 'newer', 'foreign'].map((name) => join(base, name)) as [
  string,
  string,
  string,
];
for (const [dir, gateway] of [
  [older, 'gw-1'],
  [foreign, 'gw-2'],
] as const) {
  mkdirSync(join(dir, 'data'), { recursive: true });
  configure(dir, gateway);
  await live(dir, gateway, 1);
}
cpSync(older, newer, { recursive: true });
configure(newer, 'gw-1');
await live(newer, 'gw-1', 2);

await t.test('every file of the folder is of one part', async (t) => {
  const names = readdirSync(join(newer, 'data')).filter((name) => !PASSING(name));
  for (const name of names)
    t.equal(Object.values(PARTS).filter(({ has }) => has(name)).length, 1, `${name} is of one part`);
  for (const [part, { has }] of Object.entries(PARTS)) t.ok(names.some(has), `there is ${part}`);
});

for (const [name, part] of Object.entries(PARTS)) {
  for (const mix of ['missing', 'older', 'foreign'] satisfies Mix[]) {
    await t.test(`${name}: ${mix}`, (t) => tried(t, part, mix));
  }
}

async function tried(t: Test, part: Part, mix: Mix): Promise<void> {
  const dir = testDir(t);
  const data = join(dir, 'data');
  cpSync(join(newer, 'data'), data, { recursive: true });
  configure(dir, 'gw-1');
  const swap = (from: string | null): void => {
    for (const name of readdirSync(data).filter(part.has)) rmSync(join(data, name), { recursive: true });
    if (from === null) return;
    const names = readdirSync(from).filter(part.has);
    for (const name of names) cpSync(join(from, name), join(data, name), { recursive: true });
  };
  swap({ missing: null, older: join(older, 'data'), foreign: join(foreign, 'data') }[mix]);
  const { said, code } = part[mix];
  const told = await run(dir);
  if (said !== null) t.match(told, said);
  t.match(told, code === undefined ? /exit code 0$/ : new RegExp(`exit code ${code}$`));
  if (code !== undefined) {
    // The fix of the message: the own part again.
    swap(join(newer, 'data'));
    t.match(await run(dir), /exit code 0$/);
  }
  t.notMatch(told, /"event":"store.damaged"/);
  await keepsIds(t, data);
}

/** The records that wait have ids that no other record has, and the next start goes on. */
async function keepsIds(t: Test, data: string): Promise<void> {
  const { store } = storeOn(bufferFile(data), { gateway: 'gw-1' });
  await store.start();
  await store.append(record('new'));
  const epochs = store.epochs().map(({ epoch }) => epoch);
  t.equal(new Set(epochs).size, epochs.length);
  t.strictSame([...(await contents(store, store.epoch)).values()], ['new']);
  await store.stop();
}
