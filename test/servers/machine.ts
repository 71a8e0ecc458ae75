/**
 * A machine that boots: systemd as PID 1 over a Debian root, by systemd-nspawn, with a network of its own
 * that has nothing but loopback. It needs no systemd on the host. All that it mounts and starts is in
 * namespaces of its own, and ends with them.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Test } from 'tap';
import { until } from '../until.ts';
import { debianRoot } from './debian-root.ts';

const COMMAND_MS_MAX = 120_000;
const OUTPUT_BYTES_MAX = 2 ** 26;
const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/**
 * $1 is the root, $2 the script BOOT, then the cgroups, `--` and the options of BOOT. Ends with the test’s
 * process, however that ends.
 */
const ENTER = `
root=$1; boot=$2; shift 2
while [ "$1" != -- ]; do echo $$ > "$1/cgroup.procs"; shift; done; shift
exec setpriv --pdeathsig KILL unshare --mount --propagation private --pid --fork --kill-child --mount-proc \\
  sh -ec "$boot" sh "$root" "$@"`;

/**
 * systemd-nspawn wants a /run that is no disk. The root stays as it is: changes go to an overlay in memory.
 */
const BOOT = `
root=$1; shift
mount -t tmpfs tmpfs /run
mkdir /run/upper /run/work /run/root
mount -t overlay -o "lowerdir=$root,upperdir=/run/upper,workdir=/run/work" overlay /run/root
exec systemd-nspawn --quiet --boot --directory=/run/root --machine=headgate --register=no --keep-unit \\
  --settings=no --private-network --link-journal=no --resolv-conf=off --timezone=off --console=pipe "$@"`;

export interface Ran {
  code: number;
  stdout: string;
  stderr: string;
}

export interface Machine {
  /** Runs a shell script as root, with its arguments $1 and on. */
  shell(script: string, args?: readonly string[], input?: string): Promise<Ran>;
  /** The same; stdout. Throws when the script ends with anything but 0. */
  ask(script: string, args?: readonly string[], input?: string): Promise<string>;
  /** Ends all of it at once, as the loss of power. Resolves when nothing of it is left. */
  end(): Promise<void>;
}

/**
 * Boots one, and ends it with the test. `binds` are folders of the host that it sees, read-only, by the
 * place where. Throws, with what its console said, when it does not come up.
 */
export async function bootMachine(t: Test, binds: Readonly<Record<string, string>>): Promise<Machine> {
  const root = await debianRoot();
  const cgroups = makeCgroups();
  const mounts = Object.entries(binds).map(([inside, host]) => `--bind-ro=${host}:${inside}`);
  const child = spawn('sh', ['-c', ENTER, 'sh', root, BOOT, ...cgroups, '--', ...mounts], {
    stdio: ['ignore', 'pipe', 'pipe'],
    // cgroups of version 2, whatever the host has.
    env: { PATH, SYSTEMD_NSPAWN_UNIFIED_HIERARCHY: '1' },
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      said += chunk;
    });
  }
  const end = ending(child, cgroups);
  t.teardown(end);
  const failWhenEnded = (): void => {
    if (child.exitCode !== null || child.signalCode !== null)
      throw new Error(`the machine ended with ${child.exitCode ?? child.signalCode}: ${said}`);
  };
  const leader = await until('the machine has a first process', () => {
    failWhenEnded();
    return leaderIn(cgroups);
  });
  const machine = { ...commandsIn(leader), end };
  await until('the machine has booted', async () => {
    failWhenEnded();
    // Before systemd listens, the command ends at once.
    const { stdout } = await machine.shell('exec systemctl is-system-running --wait');
    return /^(?:running|degraded)$/m.test(stdout);
  });
  return machine;
}

/** A cgroup of its own in each hierarchy that systemd uses: version 2, and of version 1 the one by name. */
function makeCgroups(): string[] {
  const mounted = readFileSync('/proc/self/mounts', 'utf8').split('\n');
  return mounted.flatMap((line) => {
    const [, folder = '', type, options = ''] = line.split(' ');
    if (type !== 'cgroup2' && !(type === 'cgroup' && options.includes('name=systemd'))) return [];
    // Of runs that were killed; one that is in use stays.
    for (const name of readdirSync(folder))
      if (name.startsWith('headgate-machine-')) removeCgroup(join(folder, name));
    const own = join(folder, `headgate-machine-${process.pid}`);
    mkdirSync(own, { recursive: true });
    return [own];
  });
}

/** Children first; false when a process is in one of them. */
function removeCgroup(folder: string): boolean {
  if (!existsSync(folder)) return true;
  const inside = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  if (!inside.every(({ name }) => removeCgroup(join(folder, name)))) return false;
  try {
    rmdirSync(folder);
    return true;
  } catch {
    return false; // in use
  }
}

/** The host's id of the machine's PID 1; undefined before there is one. */
function leaderIn(cgroups: readonly string[]): string | undefined {
  for (const folder of cgroups) {
    const file = join(folder, 'payload', 'init.scope', 'cgroup.procs');
    if (existsSync(file)) return readFileSync(file, 'utf8').split('\n').find(Boolean);
  }
  return undefined;
}

function ending(child: ChildProcess, cgroups: readonly string[]): () => Promise<void> {
  const exited = once(child, 'exit');
  return async () => {
    // The first process of its namespace goes, and with it, by the kernel, all others, and the mounts.
    child.kill('SIGKILL');
    await exited;
    await until('the machine’s processes are gone', () => cgroups.every(removeCgroup));
  };
}

function commandsIn(leader: string): Pick<Machine, 'shell' | 'ask'> {
  const shell: Machine['shell'] = (script, args = [], input = '') =>
    new Promise((resolve, reject) => {
      const entered = ['--target', leader, '--all', '--', 'env', '-i', `PATH=${PATH}`];
      const child = execFile(
        'nsenter',
        [...entered, 'sh', '-c', script, 'sh', ...args],
        { timeout: COMMAND_MS_MAX, killSignal: 'SIGKILL', maxBuffer: OUTPUT_BYTES_MAX },
        (error, stdout, stderr) => {
          if (error && typeof error.code !== 'number')
            reject(new Error(`${script}: ${error.message}\n${stderr}`));
          else resolve({ code: child.exitCode ?? 1, stdout, stderr });
        },
      );
      child.stdin?.on('error', () => {
        // It ended before it read all of its stdin, and its exit code says why.
      });
      child.stdin?.end(input);
    });
  const ask: Machine['ask'] = async (script, args, input) => {
    const { code, stdout, stderr } = await shell(script, args, input);
    if (code !== 0) throw new Error(`${script}: ${code}\n${stdout}${stderr}`);
    return stdout;
  };
  return { shell, ask };
}
