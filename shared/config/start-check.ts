/**
 * Errors for an address in use or a missing file, with the option at fault and a fix. The cause may be
 * transient: a listener retries, and a command that cannot continue ends with 1.
 */
import { mkdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { StartRefused } from '../start-refused.ts';
import { errorCode } from './references.ts';

function refused(
  option: string,
  problem: string,
  hint: string,
  cause: unknown,
  code: ExitCode = EXIT.failed,
): StartRefused {
  return new StartRefused(`${option}: ${problem}; ${hint}`, code, cause);
}

/** A socket's address, and the option that sets its port. */
export interface ListenAddress {
  option: string;
  host: string;
  /** 0 takes a free port. */
  port: number;
}

/** Calls `listen`; a refusal by the operating system becomes a StartRefused. */
export async function listening<T>(address: ListenAddress, listen: () => Promise<T>): Promise<T> {
  try {
    return await listen();
  } catch (error) {
    throw listenError(address, error);
  }
}

function listenError({ option, host, port }: ListenAddress, error: unknown): unknown {
  const code = errorCode(error);
  const at = `port ${port} of ${host}`;
  switch (code) {
    case 'EADDRINUSE':
      return refused(
        option,
        `${at} is in use (${code})`,
        'stop the other program, or name another port',
        error,
      );
    case 'EACCES':
      return refused(option, `this user may not listen on ${at} (${code})`, 'name a port above 1023', error);
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return refused(option, `this machine has no address ${host} (${code})`, 'name one that it has', error);
    default:
      return error;
  }
}

/** Calls `read` for a file named by `option`; a refusal by the operating system becomes a StartRefused. */
export async function reading<T>(option: string, file: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    const code = errorCode(error);
    if (!/^E[A-Z]+$/.test(code)) throw error;
    throw refused(
      option,
      `${file} cannot be read (${code})`,
      'check the path, and that the user of the service may read it',
      error,
    );
  }
}

/** Errors of a folder that a person mends, with the hint; others may pass. */
const FOLDER_HINTS: Readonly<Record<string, string>> = {
  EEXIST: 'name a folder, or remove what is in its place',
  ENOTDIR: 'name a folder, or remove what is in its place',
  ENOENT: 'name a folder on a disk that takes one',
  EACCES: 'let the user of the service write there, for example with chown',
  EPERM: 'let the user of the service write there, for example with chown',
};

/**
 * Makes the folder that `option` names, and the folders above it. Throws StartRefused where the system
 * refuses. (Node's own recursive mkdir never returns below /proc.)
 */
export async function makeFolder(option: string, folder: string): Promise<void> {
  try {
    await makeWithParents(folder);
  } catch (error) {
    const code = errorCode(error);
    if (!/^E[A-Z]+$/.test(code)) throw error;
    const hint = FOLDER_HINTS[code];
    const exit = hint === undefined ? EXIT.failed : EXIT.config;
    throw refused(option, `no folder at ${folder} (${code})`, hint ?? 'check the disk', error, exit);
  }
}

async function makeWithParents(folder: string): Promise<void> {
  try {
    await mkdir(folder, { mode: 0o750 });
  } catch (error) {
    const code = errorCode(error);
    if (code === 'EEXIST' && (await stat(folder)).isDirectory()) return;
    const above = dirname(folder);
    const isMissing = code === 'ENOENT' && above !== folder && (await codeOf(stat(above))) === 'ENOENT';
    if (!isMissing) throw error;
    await makeWithParents(above);
    await mkdir(folder, { mode: 0o750 });
  }
}

/** Null where the call succeeds. */
function codeOf(call: Promise<unknown>): Promise<string | null> {
  return call.then(
    () => null,
    (error: unknown) => errorCode(error),
  );
}
