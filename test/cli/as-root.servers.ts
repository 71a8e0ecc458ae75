/**
 * Commands that root runs on the folder of a user who is hostile: they have that user's rights. Needs root.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import t, { type Test } from 'tap';
import { openPostgresLedger } from '../../router/ledger/postgres/engine.ts';
import { openSqliteLedger } from '../../router/ledger/sqlite/engine.ts';
import { systemClock } from '../../shared/clock.ts';
import { createLogger } from '../../shared/log.ts';
import { entry } from '../router/ledger/envelopes.ts';
import { postgres } from '../servers/postgres.ts';
import { BIN, headgate as headgateAt, ROOT } from './run.ts';

/** Debian's nobody, and a second user that needs no name. */
const SERVICE = 65_534;
const OTHER = 65_533;
const SOURCES = 'sources: [{ name: gcp, type: gcp, project: p, subscription: s }]\n';

if (process.getuid?.() !== 0) throw new Error('this suite needs root');

const bin = readableBin();

/** A command that became the service loads its code as that user: from a copy, where it may not read ours. */
function readableBin(): string {
  const asService = { uid: SERVICE, gid: SERVICE, stdio: 'ignore' } as const;
  if (spawnSync('cat', [BIN], asService).status === 0) return BIN;
  const copy = mkdtempSync(join(tmpdir(), 'headgate-copy-'));
  t.teardown(() => rmSync(copy, { recursive: true, force: true }));
  const parts = [
    'bin',
    'cli',
    'shared',
    'agent',
    'router',
    'loopback',
    'demo',
    'package.json',
    'node_modules',
  ];
  execFileSync('cp', ['-r', ...parts.map((part) => join(ROOT, part)), copy]);
  execFileSync('chmod', ['-R', 'go+rX', copy]);
  return join(copy, 'bin', basename(BIN));
}

function headgate(args: readonly string[]): ReturnType<typeof headgateAt> {
  return headgateAt(args, { bin });
}

interface Folders {
  /** Root's own, closed. */
  safe: string;
  /** The service's. */
  data: string;
  config: string;
}

function folders(t: Test, more = ''): Folders {
  const dir = mkdtempSync(join(tmpdir(), 'headgate-root-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  chmodSync(dir, 0o755);
  const [safe, data] = [join(dir, 'safe'), join(dir, 'data')];
  mkdirSync(safe, { mode: 0o700 });
  mkdirSync(data, { mode: 0o750 });
  chownSync(data, SERVICE, SERVICE);
  const config = join(safe, 'router.yaml');
  writeFileSync(config, `data_dir: ${data}\n${SOURCES}${more}`);
  return { safe, data, config };
}

t.test('device: the owner writes, and a link leads to no file of root', async (t) => {
  const { safe, data } = folders(t);
  const file = join(data, 'devices.json');
  t.match(await headgate(['device', 'add', 'a', '--data-dir', data]), { code: 0, stderr: '' });
  t.match(statSync(file), { uid: SERVICE, gid: SERVICE });
  t.equal(statSync(file).mode & 0o777, 0o600);

  const secret = join(safe, 'devices.json');
  writeFileSync(secret, '{"version":1,"devices":[],"groups":[]}', { mode: 0o600 });
  rmSync(file);
  symlinkSync(secret, file);
  const listed = await headgate(['device', 'ls', '--data-dir', data]);
  t.match(listed, { code: 1, stderr: /unreadable: EACCES/ }, 'root would have read it');
  t.match(await headgate(['device', 'add', 'b', '--data-dir', data]), { code: 1, stderr: /EACCES/ });
  t.equal(statSync(secret).uid, 0);
});

t.test('device: below a folder that root alone may enter, as systemd has it', async (t) => {
  const { safe } = folders(t);
  const data = join(safe, 'data');
  mkdirSync(data, { mode: 0o750 });
  chownSync(data, SERVICE, SERVICE);
  t.match(await headgate(['device', 'add', 'a', '--data-dir', data]), { code: 0, stderr: '' });
  t.equal(statSync(join(data, 'devices.json')).uid, SERVICE);
  writeFileSync(join(safe, 'router.yaml'), `data_dir: ${data}\n${SOURCES}`);
  const config = join(safe, 'router.yaml');
  const erased = await headgate(['ledger', 'erase', '--device', 'd', '--config', config]);
  t.match(erased, { code: 1, stderr: /systemd-run --pipe/ });
});

t.test('device: a way that others can change is not taken', async (t) => {
  const { safe, data } = folders(t);
  const link = join(data, 'link');
  symlinkSync(safe, link);
  lchownSync(link, SERVICE, SERVICE);
  t.match(await headgate(['device', 'add', 'a', '--data-dir', link]), { code: 78, stderr: /another user/ });
  const below = join(data, 'below');
  mkdirSync(below);
  chownSync(below, OTHER, OTHER);
  t.match(await headgate(['device', 'add', 'a', '--data-dir', below]), { code: 78, stderr: /another user/ });
  chmodSync(data, 0o777);
  chownSync(data, 0, 0);
  t.match(await headgate(['device', 'add', 'a', '--data-dir', data]), {
    code: 78,
    stderr: /others may write/,
  });
  t.throws(() => lstatSync(join(safe, 'devices.json')), { code: 'ENOENT' });
});

t.test('ledger accept: a link in the place of its temporary file overwrites nothing', async (t) => {
  const server = await postgres();
  t.teardown(() => server.remove());
  await server.start();
  const options = { url: server.url, schema: 'headgate', connectionsMax: 2, timeoutMs: 8000 };
  const log = createLogger({ level: 'silent', levels: {} });
  const ledger = await openPostgresLedger({ ...options, clock: systemClock, log });
  await ledger.close();
  const { safe, data, config } = folders(t, `ledger: { type: postgres, url: "${server.url}" }\n`);
  const victim = join(safe, 'victim');
  writeFileSync(victim, 'precious');
  writeFileSync(join(data, 'ledger-seen.json'), '{"postgres headgate":{"id":"x","position":1}}');
  chownSync(join(data, 'ledger-seen.json'), SERVICE, SERVICE);
  symlinkSync(victim, join(data, 'ledger-seen.json.new'));
  t.match(await headgate(['ledger', 'accept', '--config', config]), { code: 1, stderr: /EACCES/ });
  t.equal(readFileSync(victim, 'utf8'), 'precious');
});

t.test('ledger erase: in the folder, and not through a link to another ledger', async (t) => {
  const { safe, data, config } = folders(t);
  const log = createLogger({ level: 'silent', levels: {} });
  const other = join(safe, 'ledger.db');
  const theirs = await openSqliteLedger({ file: other, clock: systemClock, log });
  await theirs.commit([entry({ seqs: [1] })]);
  await theirs.close();
  const ledger = join(data, 'ledger.db');
  symlinkSync(other, ledger);
  const erase = ['ledger', 'erase', '--device', 'device-1', '--config', config];
  const through = await headgate(erase);
  t.equal(through.code, 1);
  t.notMatch(through.stdout, /erased/);
  const again = await openSqliteLedger({ file: other, clock: systemClock, log });
  t.match(await again.totals(), { records: 1 });
  await again.close();

  rmSync(ledger);
  const own = await openSqliteLedger({ file: ledger, clock: systemClock, log });
  await own.commit([entry({ seqs: [1] })]);
  await own.close();
  chownSync(ledger, SERVICE, SERVICE);
  t.match(await headgate(erase), { code: 0, stdout: /erased: 1 records/ });
  const actor = await headgate(['ledger', 'erasures', '--json', '--config', config]);
  t.match(JSON.parse(actor.stdout), [{ actor: 'root' }]);
});

t.test('deadletter show --out: the file is in the place of the person', async (t) => {
  const { safe, data, config } = folders(t);
  const log = createLogger({ level: 'silent', levels: {} });
  const ledger = await openSqliteLedger({ file: join(data, 'ledger.db'), clock: systemClock, log });
  const [source, reason, detail, gateway] = ['gcp', 'undecodable', 'no envelope', null] as const;
  const letter = { source, reason, detail, authenticatedGateway: gateway, properties: {} };
  await ledger.deadLetter({ ...letter, bytes: Buffer.from('telemetry'), receivedWallMs: 1 });
  const [stored] = await ledger.maintenance.deadLetterHeads({}, 1);
  await ledger.close();
  chownSync(join(data, 'ledger.db'), SERVICE, SERVICE);
  const out = join(safe, 'letter');
  const show = ['deadletter', 'show', String(stored?.id), '--encoding', 'raw', '--out', out];
  t.match(await headgate([...show, '--config', config]), { code: 0, stderr: '' });
  t.equal(readFileSync(out, 'utf8'), 'telemetry');
  t.match(statSync(out), { uid: 0 });
  t.equal(statSync(out).mode & 0o777, 0o600);
});
