/** Every command that changes something leaves one change in the audit log. */
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { Registry } from 'prom-client';
import t, { type Test } from 'tap';
import { holdFile } from '../../agent/holds/hold-file.ts';
import { Holds } from '../../agent/holds/holds.ts';
import { holdRoutes } from '../../agent/holds/routes.ts';
import type { ListedChange } from '../../cli/audit-changes.ts';
import { buildProgram } from '../../cli/program.ts';
import { openSqliteLedger } from '../../router/ledger/sqlite/engine.ts';
import { AdminServer } from '../../shared/admin-server.ts';
import { AuditLog } from '../../shared/audit/audit-log.ts';
import { systemClock } from '../../shared/clock.ts';
import { systemEntropy } from '../../shared/entropy.ts';
import { createLogger } from '../../shared/log.ts';
import { entry } from '../router/ledger/envelopes.ts';
import { command, folderWith } from './run.ts';

const log = createLogger({ level: 'silent', levels: {} });

/** Commands that change nothing on an agent or a router, or run one. */
const READS: readonly string[] = [
  ...[
    'agent',
    'router',
    'clouds',
    'clouds start',
    'clouds fault',
    'clouds status',
    'demo',
    'status',
    'clients',
  ],
  ...['ledger verify', 'ledger erasures', 'ledger where', 'completeness', 'feeds ls', 'deadletter ls'],
  ...['deadletter show', 'explain', 'hold ls', 'where', 'simulate', 'costs', 'device ls', 'device group ls'],
  ...['keys ls', 'keys show', 'keys export', 'config check', 'config schema'],
  ...['audit show', 'audit verify', 'audit export'],
  // On the operator's machine: nothing of an agent or a router.
  ...['fleet init', 'fleet verify'],
];

interface Case {
  /** Where it runs, and so the flags that it takes. */
  on: 'agent' | 'router' | 'admin';
  args: readonly string[];
  target?: string | null;
  /** Default: done. */
  result?: ListedChange['result'];
  input?: string;
}

/** In this order, on one agent and one router. */
const CHANGES: Readonly<Record<string, Case>> = {
  'device group add': { on: 'agent', args: ['pumps'], target: 'pumps' },
  'device group allow': { on: 'agent', args: ['pumps', 'publish', 'plant/#'], target: 'pumps' },
  'device add': { on: 'agent', args: ['pump-1', '--password-stdin'], target: 'pump-1', input: 'secret-word' },
  'device passwd': {
    on: 'agent',
    args: ['pump-1', '--password-stdin'],
    target: 'pump-1',
    input: 'secret-word',
  },
  'device disable': { on: 'agent', args: ['pump-1'], target: 'pump-1' },
  'device enable': { on: 'agent', args: ['pump-1'], target: 'pump-1' },
  'device groups': { on: 'agent', args: ['pump-1', 'pumps'], target: 'pump-1' },
  'device allow': { on: 'agent', args: ['pump-1', 'both', 'x/#'], target: 'pump-1' },
  'device import': { on: 'agent', args: ['FOLDER/devices.csv'] },
  'device rm': { on: 'agent', args: ['pump-1'], target: 'pump-1' },
  'device group rm': { on: 'agent', args: ['pumps'], target: 'pumps', result: 'refused' },
  'keys new': { on: 'agent', args: [] },
  'keys new --seal': { on: 'router', args: [] },
  'keys rm': { on: 'agent', args: ['KEY'], target: 'KEY' },
  'hold add': { on: 'admin', args: ['aws', '--reason', 'new modem'], target: 'aws' },
  'hold rm': { on: 'admin', args: ['aws'], target: 'aws' },
  'deadletter retry': { on: 'router', args: ['--all'] },
  'deadletter purge': { on: 'router', args: ['--all'] },
  'feeds reset': { on: 'router', args: ['file', '--to', '0'], target: 'file' },
  'feeds skip': { on: 'router', args: ['file', '--offset', '1'], target: 'file' },
  'feeds retry': { on: 'router', args: ['file'], target: 'file' },
  'feeds drop': { on: 'router', args: ['file', '--offset', '1'], target: 'file', result: 'refused' },
  'ledger erase': { on: 'router', args: ['--device', 'device-1', '--by', 'bo'], target: 'device-1' },
  'ledger accept': { on: 'router', args: [], result: 'refused' },
};

function leaves(at: Command, path: readonly string[] = []): string[] {
  const own = [...path, at.name()];
  const below = at.commands.flatMap((one) => leaves(one, own));
  return below.length > 0 ? below : [own.slice(1).join(' ')];
}

const inOrder = (a: string, b: string): number => (a < b ? -1 : 1);

interface Site {
  agent: string;
  router: string;
  flags: Readonly<Record<Case['on'], readonly string[]>>;
}

async function site(t: Test): Promise<Site> {
  const csv = 'name,password,groups\npump-2,secret-word,pumps\npump-3,,\n';
  const agent = folderWith(t, { 'devices.csv': csv });
  const router = folderWith(t, {});
  const text = `data_dir: ${router}\nadmin: { port: 1 }\nfeeds: [{ name: file, type: ndjson, file: "-" }]\nsources: [{ name: gcp, type: gcp, project: p, subscription: s }]\nlog: { level: silent }\n`;
  const config = join(folderWith(t, { 'router.yaml': text }), 'router.yaml');
  const ledger = await openSqliteLedger({ file: join(router, 'ledger.db'), clock: systemClock, log });
  await ledger.commit([entry({ seqs: [1, 2] })]);
  await ledger.close();
  const moment = { bootId: 'b', monoMs: 0, wallMs: 0, synchronised: true };
  const holds = new Holds({
    ...{ file: holdFile(join(agent, 'holds.json')), now: () => moment, dispatch: () => undefined },
    ...{ clock: systemClock, log },
  });
  const { routes, changes } = holdRoutes({ holds, providers: ['aws'] });
  const audit = new AuditLog({
    dataDir: agent,
    program: 'agent',
    clock: systemClock,
    entropy: systemEntropy,
  });
  const server = new AdminServer({
    ...{ host: '127.0.0.1', port: 0, checks: {}, registry: new Registry(), routes, changes, audit },
    ...{ clock: systemClock, entropy: systemEntropy, log },
  });
  await server.start();
  t.teardown(() => server.stop());
  const admin = ['--admin', `http://127.0.0.1:${server.port()}`];
  return { agent, router, flags: { agent: ['--data-dir', agent], admin, router: ['--config', config] } };
}

async function listed(dataDir: string): Promise<ListedChange[]> {
  return JSON.parse((await command(['audit', 'show', '--data-dir', dataDir, '--json'])).stdout);
}

t.test('each command is known as one that reads or one that changes', async (t) => {
  const changing = Object.keys(CHANGES).filter((name) => !name.includes('--'));
  const known = [...READS, ...changing].toSorted(inOrder);
  t.strictSame(
    leaves(buildProgram()).toSorted(inOrder),
    known.filter((name) => name !== 'clouds'),
  );
});

t.test('each changing command leaves one change, finished, with its user, and no secret', async (t) => {
  const { agent, router, flags } = await site(t);
  t.equal((await command(['keys', 'new', ...flags.agent])).code, 0);
  const [first] = await listed(agent);
  const key = String(first?.detail['key']);
  const filled = (text: string): string => text.replace('FOLDER', agent).replace('KEY', key);
  for (const [name, { on, args, target = null, result = 'done', input = '' }] of Object.entries(CHANGES)) {
    const folder = on === 'router' ? router : agent;
    const before = await listed(folder);
    const ran = await command([...name.split(' '), ...args.map(filled), ...flags[on]], { input });
    t.equal(ran.code, result === 'done' ? 0 : 1, `${name}: ${ran.stderr}`);
    const made = (await listed(folder)).slice(before.length);
    const action = name.replace('--', '').replaceAll(' ', '.');
    t.match(made, [{ action, result, target: target === null ? null : filled(target) }], name);
    t.equal(made.length, 1, name);
    const who =
      on === 'admin' ? { via: 'http', address: '127.0.0.1', uid: process.getuid?.() } : { via: 'command' };
    t.match(made[0]?.who, who, name);
  }
  for (const folder of [agent, router]) {
    t.match(await command(['audit', 'verify', '--data-dir', folder]), { code: 0, stdout: /\nwhole\n$/ });
    for (const file of readdirSync(join(folder, 'audit')))
      t.notMatch(readFileSync(join(folder, 'audit', file), 'utf8'), /secret-word|scrypt|PRIVATE/, file);
  }
});

t.test('without room for the entry no command changes anything; a hold is set all the same', async (t) => {
  const { agent, router, flags } = await site(t);
  for (const folder of [agent, router]) {
    mkdirSync(join(folder, 'audit'));
    symlinkSync('/dev/full', join(folder, 'audit', 'head.json.tmp'));
  }
  const stateOf = (folder: string): string[] =>
    readdirSync(folder, { recursive: true })
      .map(String)
      .filter((name) => !/^audit|holds|ledger/.test(name))
      .toSorted(inOrder);
  const before = [stateOf(agent), stateOf(router)];
  for (const [name, { on, args, input = '' }] of Object.entries(CHANGES)) {
    const filled = args.map((text) => text.replace('FOLDER', agent));
    const ran = await command([...name.split(' '), ...filled, ...flags[on]], { input });
    // There is no key to remove here.
    if (name === 'keys rm') continue;
    if (on === 'admin') t.equal(ran.code, 0, name);
    else
      t.match(
        ran,
        { code: 1, stdout: '', stderr: /nothing was changed: the audit log cannot be written: ENOSPC/ },
        name,
      );
  }
  t.strictSame([stateOf(agent), stateOf(router)], before);
});

t.test('a kill between the two entries of a change: it is listed as unfinished', async (t) => {
  const dir = folderWith(t, {});
  const audit = new AuditLog({ dataDir: dir, program: 'agent', clock: systemClock, entropy: systemEntropy });
  await audit.begin({ who: { via: 'command', user: 'ann' }, action: 'device.rm', target: 'pump-1' });
  t.match(await listed(dir), [{ action: 'device.rm', result: 'unfinished' }]);
  t.match(await command(['audit', 'verify', '--data-dir', dir]), { code: 0 });
  const since = await command(['audit', 'show', '--data-dir', dir, '--since', '2999-01-01', '--json']);
  t.strictSame(JSON.parse(since.stdout), []);
  t.match(await command(['audit', 'show', '--data-dir', dir, '--since', 'x']), {
    code: 2,
    stderr: /--since x: expected/,
  });
});

t.test('hostile names stay on their line, at 80 columns', async (t) => {
  const dir = folderWith(t, {});
  const audit = new AuditLog({ dataDir: dir, program: 'agent', clock: systemClock, entropy: systemEntropy });
  const hostile = 'a\u202eb\nc\u009bd\u2028e\u0007 漢字';
  await audit.note({
    who: { via: 'http', says: hostile },
    action: 'hold.add',
    target: hostile,
    detail: { reason: hostile },
  });
  for (const args of [['show'], ['show', '--json'], ['verify'], ['export']]) {
    const { code, stdout } = await command(['audit', ...args, '--data-dir', dir], { env: { COLUMNS: '80' } });
    t.equal(code, 0);
    t.notMatch(stdout, /[^\P{Cc}\n]|[\p{Bidi_Control}\u2028\u2029]/u, args.join(' '));
    if (args.join() === 'show')
      t.ok(
        stdout.split('\n').every((line) => line.length <= 80),
        stdout,
      );
  }
  t.equal((await listed(dir))[0]?.target, hostile, 'JSON keeps it');
});

t.test('a log rewritten on the machine contradicts the copy that left it', async (t) => {
  const { agent, flags } = await site(t);
  for (const name of ['a', 'b', 'c']) await command(['device', 'group', 'add', name, ...flags.agent]);
  const copy = join(folderWith(t, {}), 'copy.ndjson');
  writeFileSync(copy, (await command(['audit', 'export', ...flags.agent])).stdout);
  await command(['device', 'group', 'add', 'd', ...flags.agent]);
  const against = () => command(['audit', 'verify', '--against', copy, ...flags.agent]);
  t.match(await against(), { code: 0, stdout: /whole, and agrees with/ });
  // As root could: the same log, without the second change, with right hashes and a right head.
  const entries = readFileSync(join(agent, 'audit', '000000000001.ndjson'), 'utf8')
    .trim()
    .split('\n');
  const kept = entries.map((line) => JSON.parse(line)).filter(({ target }) => target !== 'b');
  const { chained } = await import('../../shared/audit/core/entry.ts');
  const { digest } = await import('../../shared/audit/audit-log.ts');
  let prev = '0'.repeat(64);
  const lines = kept.map(({ hash: _, ...one }, at) => {
    const made = chained({ ...one, seq: at + 1, of: one.of === null ? null : at, prev }, digest);
    prev = made.hash;
    return made.line;
  });
  writeFileSync(join(agent, 'audit', '000000000001.ndjson'), `${lines.join('\n')}\n`);
  writeFileSync(
    join(agent, 'audit', 'head.json'),
    JSON.stringify({ log: kept[0].log, seq: lines.length, hash: prev }),
  );
  t.match(await command(['audit', 'verify', ...flags.agent]), { code: 0 }, 'by itself it looks whole');
  t.match(await against(), { code: 1, stdout: /entry 3: is another entry than the one that left/ });
});
