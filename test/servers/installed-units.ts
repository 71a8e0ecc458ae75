/** Agent and router on a machine that boots, installed and configured as docs/start/as-a-service.md says. */
import { execFileSync } from 'node:child_process';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { chmodSync, cpSync, mkdirSync, readFileSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import type { Test } from 'tap';
import { stringify } from 'yaml';
import { createCertificateAuthority } from '../../loopback/ca.ts';
import { systemClock } from '../../shared/clock.ts';
import { systemEntropy } from '../../shared/entropy.ts';
import { ROOT } from '../cli/run.ts';
import { testDir } from '../test-dir.ts';
import { until } from '../until.ts';
import { bootMachine, type Machine } from './machine.ts';

const HEADGATE = '/opt/headgate/node_modules/headgate';
/** Without Node.js in the PATH. */
export const COMMAND = '/opt/headgate/node_modules/.bin/node /opt/headgate/node_modules/.bin/headgate';
export const PROGRAMS = ['agent', 'router'] as const;
export type Program = (typeof PROGRAMS)[number];

export const unitOf = (program: Program): string => `headgate-${program}.service`;

/** By name, in the clear. */
export type Secrets = Readonly<Record<Program, Readonly<Record<string, string>>>>;

export interface InstalledUnits {
  machine: Machine;
  secrets: Secrets;
  /** The id, in the machine, of the service's main process. */
  mainPid(program: Program): Promise<number>;
  /** Starts both, and waits until they are ready. */
  start(): Promise<void>;
}

/** Boots a machine with both units installed, not started, and their secrets encrypted to the machine. */
export async function installedUnits(t: Test): Promise<InstalledUnits> {
  const machine = await bootMachine(t, {
    [HEADGATE]: installation(t),
    [`${HEADGATE}/node_modules`]: realpathSync(join(ROOT, 'node_modules')),
  });
  await machine.ask(
    `mkdir /opt/headgate/node_modules/.bin; cd /opt/headgate/node_modules/.bin
     ln -s ../headgate/node_modules/.bin/node node; ln -s ../headgate/bin/headgate.js headgate`,
  );
  for (const program of PROGRAMS) await machine.ask(linesToInstall(program));

  const signing = keyPair();
  const token = keyPair();
  const authority = await createCertificateAuthority(systemClock, systemEntropy);
  const server = await authority.issue('127.0.0.1', 'server');
  const secrets = {
    agent: { signing: signing.privateKey, token: token.privateKey, admin: randomText() },
    router: { admin: randomText(), tls: server.key },
  };
  const gateways = { gateways: { 'gw-1': { public_keys: [signing.publicKey, token.publicKey] } } };
  await write(machine, '/etc/headgate/gateways.yaml', stringify(gateways));
  await write(machine, '/etc/headgate/ca.crt', authority.ca);
  await write(machine, '/etc/headgate/router.crt', server.cert);
  await write(machine, '/etc/headgate/agent.yaml', stringify(AGENT));
  await write(machine, '/etc/headgate/router.yaml', stringify(ROUTER));
  for (const program of PROGRAMS) await encrypt(machine, program, secrets[program]);

  return {
    machine,
    secrets,
    mainPid: async (program) =>
      Number(await machine.ask(`systemctl show --property=MainPID --value ${unitOf(program)}`)),
    async start() {
      await machine.ask(`systemctl start ${PROGRAMS.map(unitOf).join(' ')}`);
      for (const program of PROGRAMS) await untilReady(machine, program);
    },
  };
}

/** Ed25519, in PEM. */
function keyPair(): { publicKey: string; privateKey: string } {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  return {
    publicKey: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
    privateKey: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  };
}

const randomText = (): string => randomBytes(24).toString('hex');

const AGENT = {
  gateway: 'gw-1',
  data_dir: '/var/lib/headgate-agent',
  // biome-ignore lint/suspicious/noTemplateCurlyInString: a reference of the configuration.
  admin: { token: 'file:${CREDENTIALS_DIRECTORY}/admin' },
  broker: { allow_anonymous: true },
  // biome-ignore lint/suspicious/noTemplateCurlyInString: a reference of the configuration.
  signing: { envelopes: true, key_file: '${CREDENTIALS_DIRECTORY}/signing' },
  providers: [
    {
      ...{ name: 'private', type: 'https', url: 'https://127.0.0.1:8443' },
      ca_file: '/etc/headgate/ca.crt',
      // biome-ignore lint/suspicious/noTemplateCurlyInString: a reference of the configuration.
      token_key_file: '${CREDENTIALS_DIRECTORY}/token',
    },
  ],
};

const ROUTER = {
  data_dir: '/var/lib/headgate-router',
  // biome-ignore lint/suspicious/noTemplateCurlyInString: a reference of the configuration.
  admin: { token: 'file:${CREDENTIALS_DIRECTORY}/admin' },
  gateways_file: '/etc/headgate/gateways.yaml',
  sources: [
    {
      ...{ name: 'private', type: 'https', accept: 'signed', host: '127.0.0.1', port: 8443 },
      cert_file: '/etc/headgate/router.crt',
      // biome-ignore lint/suspicious/noTemplateCurlyInString: a reference of the configuration.
      key_file: '${CREDENTIALS_DIRECTORY}/tls',
      gateways_file: '/etc/headgate/gateways.yaml',
    },
  ],
};

/** The files of the package, but for its dependencies, for everybody to read. */
function installation(t: Test): string {
  const folder = join(testDir(t), 'headgate');
  mkdirSync(join(folder, 'node_modules'), { recursive: true });
  const parts: string[] = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')).files;
  for (const part of ['package.json', ...parts.filter((part) => part !== 'dist/')])
    cpSync(join(ROOT, part), join(folder, part), { recursive: true });
  const bundle = [join(ROOT, 'build/bundle.ts'), '--out-dir', join(folder, 'dist')];
  execFileSync(process.execPath, bundle, { cwd: ROOT });
  execFileSync('chmod', ['--recursive', 'go+rX', folder]);
  // As npm does with the commands of a package.
  chmodSync(join(folder, 'bin', 'headgate.js'), 0o755);
  return folder;
}

/** Step 1 of the page after `npm install`; the page says that the router is set up alike. */
function linesToInstall(program: Program): string {
  const page = readFileSync(join(ROOT, 'docs/start/as-a-service.md'), 'utf8');
  const [, lines = ''] = /^## 1\. Install\n+```sh\nnpm install .*\n([^`]+)```/m.exec(page) ?? [];
  return `set -e\n${program === 'agent' ? lines : lines.replaceAll('agent', program)}`;
}

/** Into a file that is there, whose mode stays, or a new one for everybody to read. */
async function write(machine: Machine, file: string, text: string): Promise<void> {
  await machine.ask('umask 022; cat > "$1"', [file], text);
}

/** As docs/security/tpm.md says, for a machine without a TPM. The secret goes in over stdin. */
async function encrypt(machine: Machine, program: Program, secrets: Secrets[Program]): Promise<void> {
  const lines = Object.keys(secrets).map(
    (name) => `LoadCredentialEncrypted=${name}:/etc/credstore.encrypted/headgate-${program}-${name}`,
  );
  for (const [name, secret] of Object.entries(secrets)) {
    await machine.ask(
      `umask 077; mkdir -p /etc/credstore.encrypted
       exec systemd-creds encrypt --with-key=host --name="$2" - "/etc/credstore.encrypted/headgate-$1-$2"`,
      [program, name],
      secret,
    );
  }
  const folder = `/etc/systemd/system/${unitOf(program)}.d`;
  await machine.ask(`mkdir ${folder}`);
  await write(machine, `${folder}/override.conf`, `[Service]\n${lines.join('\n')}\n`);
  await machine.ask('systemctl daemon-reload');
}

async function untilReady(machine: Machine, program: Program): Promise<void> {
  const port = { agent: 9464, router: 9465 }[program];
  try {
    await until(`the ${program} is ready`, async () => {
      const { code } = await machine.shell(`exec systemctl is-failed --quiet ${unitOf(program)}`);
      if (code === 0) throw new Error('it has failed');
      return (await readyz(machine, port)) === 200;
    });
  } catch (error) {
    const said = await machine.ask(`exec journalctl --no-pager --lines=50 --unit=${unitOf(program)}`);
    throw new Error(`the ${program} is not ready: ${said}`, { cause: error });
  }
}

/** The status of the admin server at this port of the machine; 0 when nobody answers. */
async function readyz(machine: Machine, port: number): Promise<number> {
  const script = `fetch('http://127.0.0.1:${port}/readyz', { signal: AbortSignal.timeout(10_000) })
    .then(({ status }) => console.log(status), () => console.log(0))`;
  return Number(await machine.ask(`exec /opt/headgate/node_modules/.bin/node -e "$1"`, [script]));
}
