/** Checks files and folders named in a configuration, on this machine. */
import { accessSync, constants, statSync } from 'node:fs';
import { dirname, isAbsolute, resolve } from 'node:path';
import type { Path } from '../../shared/config/document.ts';
import { errorCode } from '../../shared/config/references.ts';
import type { Finding } from './finding.ts';

/** Fields with a file that is read after the configuration. */
const FILE_FIELD = /_file$/;
/** Read together with the configuration, which reports their problems. */
const READ_AT_LOAD: readonly string[] = ['policy_file'];

/** Every `…_file` that this user cannot read. */
export function fileFindings(value: unknown, path: Path = []): Finding[] {
  if (Array.isArray(value)) return value.flatMap((child, index) => fileFindings(child, [...path, index]));
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, child]): Finding[] => {
    const here = [...path, key];
    if (typeof child !== 'string' || !FILE_FIELD.test(key) || READ_AT_LOAD.includes(key))
      return fileFindings(child, here);
    const code = unreadable(child);
    if (code === null) return [];
    const hint =
      'check the path, and that the user of the service may read it; --no-secrets leaves files out';
    return [{ path: here, message: `the file cannot be read (${code})`, hint }];
  });
}

/** Checks `data_dir`, and with `onDisk` its parent folder. */
export function dataDirFindings(dataDir: unknown, onDisk: boolean): Finding[] {
  if (typeof dataDir !== 'string') return [];
  if (isAbsolute(dataDir)) return onDisk ? folderFindings(dirname(dataDir), ['data_dir']) : [];
  const message = 'a relative path depends on the folder in which the service is started';
  return [{ path: ['data_dir'], message, hint: `write it in full, such as ${resolve(dataDir)}` }];
}

/** A folder that must exist. */
export function folderFindings(folder: string, path: Path): Finding[] {
  const found = attempt(() => statSync(folder).isDirectory());
  if (found === true) return [];
  const message = found === false ? `${folder} is not a folder` : `the folder ${folder} is not there`;
  return [{ path, message, hint: 'create it, or mount the disk that it is on' }];
}

function unreadable(file: string): string | null {
  const answer = attempt(() => accessSync(file, constants.R_OK));
  return typeof answer === 'string' ? answer : null;
}

/** The result of the call, or the operating system's error code. */
function attempt<T>(call: () => T): T | string {
  try {
    return call();
  } catch (error) {
    return errorCode(error);
  }
}
