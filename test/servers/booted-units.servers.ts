/**
 * The systemd units on a machine that boots systemd: users of their own, secrets by
 * LoadCredentialEncrypted=, no core dump, no debugger. Needs root.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { ROOT } from '../cli/run.ts';
import { until } from '../until.ts';
import {
  COMMAND,
  type InstalledUnits,
  installedUnits,
  PROGRAMS,
  type Program,
  unitOf,
} from './installed-units.ts';

/** systemd's range of DynamicUser=. */
const DYNAMIC_UIDS = { min: 61_184, max: 65_519 };
/** Node.js's port for a debugger. */
const DEBUGGER_PORT = 9229;

t.test('the units on a machine that boots', async (t) => {
  const units = await installedUnits(t);
  await units.start();
  await t.test('a record goes from a device to the ledger, with keys from credentials', (t) =>
    oneRecord(t, units),
  );
  await t.test('systemctl reload puts another policy in force', (t) => reloaded(t, units));
  for (const program of PROGRAMS) {
    await t.test(`${program}: a user of its own, without rights`, (t) => ownUser(t, units, program));
    await t.test(`${program}: its secrets are in its credentials alone`, (t) =>
      secretsKept(t, units, program),
    );
    await t.test(`${program}: no core dump`, (t) => noCore(t, units, program));
    await t.test(`${program}: exposed as SECURITY.md says`, (t) => exposed(t, units, program));
    await t.test(`${program}: SIGUSR1 opens no debugger`, (t) => noDebugger(t, units, program));
  }
});

async function oneRecord(t: Test, { machine, secrets }: InstalledUnits): Promise<void> {
  const publish = `import { connectAsync } from 'mqtt';
    const device = await connectAsync('mqtt://127.0.0.1:1883', { clientId: 'pump-1' });
    await device.publishAsync('plant/pump-1/pressure', '{"bar":4.2}', { qos: 1 });
    await device.endAsync();`;
  await machine.ask('cd /opt/headgate/node_modules/headgate; exec ../.bin/node --input-type=module -e "$1"', [
    publish,
  ]);
  const status = `HEADGATE_ADMIN_TOKEN="$(cat)" exec ${COMMAND} status --router --json`;
  const { ledger } = await until('the record is in the ledger', async () => {
    const answer = JSON.parse(await machine.ask(status, [], secrets.router['admin']));
    return answer.ledger.records > 0 && answer;
  });
  t.equal(ledger.records, 1);
  const other = await machine.shell(status, [], secrets.agent['admin']);
  t.not(other.code, 0, 'the router takes its own token alone');
  t.match(other.stderr, /token/);
}

async function reloaded(t: Test, { machine, mainPid }: InstalledUnits): Promise<void> {
  const pid = await mainPid('agent');
  await machine.ask(
    'echo "policy: { version: 7 }" >> /etc/headgate/agent.yaml; systemctl reload headgate-agent',
  );
  const said = (): Promise<string> => machine.ask(`exec journalctl --no-pager --output=cat _PID=${pid}`);
  await until('the policy is taken', async () => /"event":"policy.taken".*"version":7/.test(await said()));
  t.equal(await mainPid('agent'), pid, 'by the same process');
  t.notMatch(await said(), /policy.restart_needed/, 'its credentials are there still');
}

async function ownUser(t: Test, { machine, mainPid }: InstalledUnits, program: Program): Promise<void> {
  const status = await machine.ask(`cat /proc/${await mainPid(program)}/status`);
  const [uid = 0] = numbers(status, 'Uid');
  t.ok(uid >= DYNAMIC_UIDS.min && uid <= DYNAMIC_UIDS.max, `user ${uid}`);
  t.equal((await machine.ask(`getent passwd ${uid}`)).split(':')[0], `headgate-${program}`);
  t.match(status, /^CapEff:\t0+$/m);
  t.match(status, /^CapBnd:\t0+$/m);
  t.match(status, /^NoNewPrivs:\t1$/m);
  t.equal(await machine.ask(`stat --format='%a %u' /var/lib/private/headgate-${program}`), `750 ${uid}\n`);
}

const numbers = (status: string, key: string): number[] =>
  (new RegExp(`^${key}:\t(.*)$`, 'm').exec(status)?.[1] ?? '').split('\t').map(Number);

async function secretsKept(t: Test, units: InstalledUnits, program: Program): Promise<void> {
  const { machine, secrets, mainPid } = units;
  const pid = await mainPid(program);
  const folder = `/run/credentials/${unitOf(program)}`;
  const texts: Record<string, string> = {
    environments: await machine.ask('cat /proc/[0-9]*/environ 2>/dev/null; true'),
    'process list': await machine.ask('cat /proc/[0-9]*/cmdline 2>/dev/null; true'),
    journal: await machine.ask('exec journalctl --all --output=export --no-pager'),
    'unit as systemd has it': await machine.ask(`exec systemctl show ${unitOf(program)}`),
    files: await machine.ask(
      'cat /var/log/journal/*/* /run/log/journal/*/* 2>/dev/null; find /etc /var -xdev -type f -exec cat {} +',
    ),
  };
  t.match(texts['environments'], `CREDENTIALS_DIRECTORY=${folder}`, 'the place is told, and only the place');
  t.match(texts['process list'], `/etc/headgate/${program}.yaml`);
  t.match(texts['journal'], '"event":"process.ready"');
  t.match(texts['files'], '[Service]');
  for (const [name, secret] of Object.entries(secrets[program])) {
    t.equal(
      await machine.ask(`cat /proc/${pid}/root${folder}/${name}`),
      secret,
      `${name} is in the clear there`,
    );
    const needle = secret.startsWith('-----') ? (secret.split('\n')[1] ?? '') : secret;
    for (const [place, text] of Object.entries(texts)) {
      if (needle === '' || text.includes(needle)) t.fail(`${name} is in: ${place}`);
    }
    const asOther = `exec setpriv --reuid=65534 --regid=65534 --clear-groups cat ${folder}/${name}`;
    t.match((await machine.shell(asOther)).stderr, /Permission denied/, 'another user may not read it');
  }
}

async function noCore(t: Test, { machine, mainPid }: InstalledUnits, program: Program): Promise<void> {
  const limits = await machine.ask(`cat /proc/${await mainPid(program)}/limits`);
  t.match(limits, /^Max core file size +0 +0 +bytes/m);
}

async function exposed(t: Test, { machine }: InstalledUnits, program: Program): Promise<void> {
  const said = await machine.ask(`exec systemd-analyze security --no-pager ${unitOf(program)}`);
  const page = readFileSync(join(ROOT, 'SECURITY.md'), 'utf8');
  const [, score = 'none'] = /^`systemd-analyze security .*` says \*\*([\d.]+ \w+)\*\*/m.exec(page) ?? [];
  t.match(said, `Overall exposure level for ${unitOf(program)}: ${score} `);
}

/**
 * The process is held before the program listens to signals: there Node.js's own handler, which opens the
 * port and keeps it open, would have its say.
 */
async function noDebugger(t: Test, units: InstalledUnits, program: Program): Promise<void> {
  const { machine, mainPid } = units;
  const unit = unitOf(program);
  const hold = `import { existsSync } from 'node:fs'; console.log('held');
    while (existsSync('/etc/headgate/hold')) await new Promise((resolve) => setTimeout(resolve, 20));`;
  await machine.ask(
    `cat > /etc/headgate/hold.mjs; touch /etc/headgate/hold; mkdir -p /run/systemd/system/${unit}.d
     printf '[Service]\nEnvironment=NODE_OPTIONS=--import=/etc/headgate/hold.mjs\n' > /run/systemd/system/${unit}.d/hold.conf
     systemctl daemon-reload; systemctl restart ${unit}`,
    [],
    hold,
  );
  const pid = await mainPid(program);
  const said = (): Promise<string> => machine.ask(`exec journalctl --no-pager _PID=${pid}`);
  await until('the process is held', async () => (await said()).includes('held'));
  await machine.ask(`kill -USR1 ${pid}; rm /etc/headgate/hold`);
  await units.start();
  t.equal(await mainPid(program), pid, 'it goes on');
  t.notOk((await listening(units)).includes(DEBUGGER_PORT), 'no port');
  t.notMatch(await said(), /Debugger/);
  await machine.ask(`rm -r /run/systemd/system/${unit}.d; systemctl daemon-reload`);
}

/** The TCP ports that anything on the machine listens on. */
async function listening({ machine }: InstalledUnits): Promise<number[]> {
  const table = await machine.ask('cat /proc/net/tcp /proc/net/tcp6');
  return [...table.matchAll(/^ *\d+: [0-9A-F]+:([0-9A-F]{4}) [0-9A-F]+:0000 0A /gm)].map(([, port = '']) =>
    Number.parseInt(port, 16),
  );
}
