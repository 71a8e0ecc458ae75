/**
 * The folder of data_dir at start. What only a person can mend, and a disk does not do by itself, is a
 * mistake of the configuration and ends the command at once: whoever installs it sees it. Anything else is
 * the disk's: the agent starts, its store has a named state, and goes on when the disk is back (I9).
 *
 * The folder is made when it is missing, those above it are not: where a mount is gone, a fresh buffer would
 * be begun on the disk under it.
 */
import { constants } from 'node:fs';
import { access, mkdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';

export interface DataFolderMistake {
  message: string;
  hint: string;
}

/** Null when the agent may start with `folder`, which is there now unless its disk fails. */
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

/** What it came to, or the system's code for why it did not. */
async function attempt<T>(call: Promise<T>): Promise<{ value: T | null; code: string | null }> {
  try {
    return { value: await call, code: null };
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
    return { value: null, code };
  }
}
