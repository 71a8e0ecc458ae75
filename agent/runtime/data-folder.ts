/**
 * Checks the folder of data_dir at the start. A fault that only an operator can correct, and that a failing
 * disk does not cause, is a mistake of the configuration and ends the command at once, so that the installer
 * sees it. Any other fault is the disk's: the agent starts, its store has a named state, and it goes on when
 * the disk is back (I9).
 *
 * A missing folder is created, its parents are not: where a mount is missing, a new buffer would be created
 * on the disk under it.
 */
import { constants } from 'node:fs';
import { access, mkdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';

export interface DataFolderMistake {
  message: string;
  hint: string;
}

/** Null when the agent may start with `folder`, which then exists unless its disk fails. */
export async function dataFolderMistake(folder: string): Promise<DataFolderMistake | null> {
  const found = await attempt(stat(folder));
  const made = found.code === 'ENOENT' ? await attempt(mkdir(folder, { mode: 0o750 })) : null;
  switch (made ? made.code : found.code) {
    case null:
      break;
    case 'ENOENT':
      return {
        message: `${dirname(folder)} does not exist`,
        hint: 'create it, or mount the disk that it is on; only the last folder of data_dir is created',
      };
    case 'ENOTDIR':
      return notADirectory(folder);
    case 'EACCES':
    case 'EPERM':
      return denied(folder);
    default:
      return null;
  }
  if (found.value?.isDirectory() === false) return notADirectory(folder);
  const files = [folder, join(folder, 'buffer.db')];
  for (const file of files) {
    const { code } = await attempt(access(file, constants.R_OK | constants.W_OK));
    if (code === 'EACCES') return denied(file);
  }
  return null;
}

function notADirectory(folder: string): DataFolderMistake {
  return { message: `${folder} is not a directory`, hint: 'name a folder, or remove what is in its place' };
}

function denied(file: string): DataFolderMistake {
  const user = process.getuid?.() ?? 'the agent';
  return {
    message: `permission denied: ${file}`,
    hint: `let user ${user}, as whom the agent runs, read and write it, for example with chown`,
  };
}

/** The result of the call, or the system's error code. */
async function attempt<T>(call: Promise<T>): Promise<{ value: T | null; code: string | null }> {
  try {
    return { value: await call, code: null };
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
    return { value: null, code };
  }
}
