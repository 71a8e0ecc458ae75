/** A small Debian with systemd as PID 1, by mmdebstrap, in a folder that later runs take again. */
import { execFile, execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ROOT } from '../cli/run.ts';

/** Debian packages that a machine is made with and runs by (machine.ts). */
export const NEEDS = ['mmdebstrap', 'debian-archive-keyring', 'systemd-container', 'util-linux'] as const;

const RELEASE = 'bookworm';
const PACKAGES = ['systemd', 'systemd-sysv', 'libnss-systemd', 'libstdc++6'];
const LEFT_OUT = ['/usr/share/doc/*', '/usr/share/man/*', '/usr/share/locale/*'];
/** A root that is begun anew after a power cut needs no fsync of each file. */
const UNSAFE = '--dpkgopt=force-unsafe-io';
const MADE_WITHIN_MS = 900_000;
const MB_MAX = 250;
/** Not in version control; `git clean` removes it. */
const FOLDER = join(ROOT, '.tap', 'debian');

const run = promisify(execFile);

/**
 * The folder of the root, which nobody may change: it belongs to all runs. Made at the first call, in about
 * half a minute. Throws where a program or the right is missing.
 */
export async function debianRoot(): Promise<string> {
  if (process.getuid?.() !== 0) throw new Error('this suite needs root: it boots a machine');
  for (const program of ['mmdebstrap', 'systemd-nspawn', 'unshare', 'nsenter', 'setpriv']) {
    if (!isInstalled(program))
      throw new Error(`${program} is not installed: apt-get install ${NEEDS.join(' ')}`);
  }
  const asked = JSON.stringify([RELEASE, PACKAGES, LEFT_OUT, process.arch]);
  const name = createHash('sha256').update(asked).digest('hex').slice(0, 16);
  const made = join(FOLDER, name);
  if (existsSync(made)) return made;
  // Roots of an earlier version of this file, and those that an ended run left unfinished.
  rmSync(FOLDER, { recursive: true, force: true });
  mkdirSync(FOLDER, { recursive: true });
  const making = join(FOLDER, `${name}.${process.pid}`);
  try {
    await make(making);
    renameSync(making, made);
  } catch (error) {
    rmSync(making, { recursive: true, force: true });
    throw error;
  }
  return made;
}

async function make(folder: string): Promise<void> {
  const options = ['--mode=root', '--format=directory', '--variant=essential', '--quiet'];
  const excluded = LEFT_OUT.map((path) => `--dpkgopt=path-exclude=${path}`);
  await run(
    'mmdebstrap',
    [...options, UNSAFE, `--include=${PACKAGES.join(',')}`, ...excluded, RELEASE, folder],
    {
      timeout: MADE_WITHIN_MS,
    },
  );
  const { stdout } = await run('du', ['--summarize', '--block-size=1M', folder]);
  const megabytes = Number.parseInt(stdout, 10);
  if (!(megabytes <= MB_MAX)) {
    const had = readdirSync(folder).join(' ');
    throw new Error(`the Debian root has ${megabytes} MB, over ${MB_MAX}: ${had}`);
  }
}

function isInstalled(program: string): boolean {
  try {
    execFileSync('sh', ['-c', `command -v ${program}`], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
