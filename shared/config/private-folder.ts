/** Keeps other users of the machine out of `data_dir`: the records in it are telemetry. */
import { constants } from 'node:fs';
import { type FileHandle, open, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { EXIT } from '../exit-codes.ts';
import { errorText, type Logger } from '../log.ts';
import { StartRefused } from '../start-refused.ts';

/** Group write, and everything of others. */
const FORBIDDEN = 0o027;
const OTHERS_WRITE = 0o002;
const STICKY = 0o1000;
/** A folder of more entries is closed itself, which is enough. */
const FILES_MAX = 10_000;
/** A folder that holds one of them is an agent's or a router's own. */
const OURS: ReadonlySet<string> = new Set(['buffer.db', 'ledger.db', 'ledger-seen.json']);

/**
 * Takes group's write and all of others' permissions from `folder` and from the files in it that belong to
 * this user, and logs one line when there was one. Other folders in it are closed by their own parent. A
 * folder with things of others alone, such as `/etc`, is left as it is. Throws StartRefused for a folder that
 * all users share, such as `/tmp`, and where others may write in the folder of another user, who alone can
 * correct it. A disk that fails here is left to the store or the ledger (I9).
 */
export async function closeDataFolder(folder: string, log: Pick<Logger, 'warn'>): Promise<void> {
  const uid = process.geteuid?.();
  if (uid === undefined) return;
  try {
    const before = await stat(folder).catch(() => null);
    if (before === null || !before.isDirectory()) return;
    if ((before.mode & STICKY) !== 0 && (before.mode & OTHERS_WRITE) !== 0) throw shared(folder);
    if (before.uid !== uid && (before.mode & OTHERS_WRITE) !== 0) throw openToOthers(folder, uid);
    const names = await readdir(folder);
    if (names.length > 0 && !names.some((name) => OURS.has(name))) return;
    const found = await narrow(folder, constants.O_DIRECTORY, uid);
    if (found === null) return;
    let files = 0;
    for (const name of names.slice(0, FILES_MAX)) {
      // Never through a link, and never waiting for a pipe.
      const file = await narrow(join(folder, name), constants.O_NOFOLLOW | constants.O_NONBLOCK, uid);
      if (file?.narrowed) files += 1;
    }
    if (!found.narrowed && files === 0) return;
    const mode = (found.mode & 0o7777).toString(8);
    log.warn({ event: 'data_dir.mended', folder, mode, files });
  } catch (error) {
    if (error instanceof StartRefused) throw error;
    log.warn({ event: 'data_dir.not_checked', folder, error: errorText(error) });
  }
}

/** Null for an entry that cannot be opened, or is neither a folder nor a file. */
async function narrow(
  path: string,
  flags: number,
  uid: number,
): Promise<{ mode: number; narrowed: boolean } | null> {
  const handle = await open(path, constants.O_RDONLY | flags).catch(() => null);
  if (handle === null) return null;
  try {
    return await narrowOpen(handle, uid);
  } finally {
    await handle.close();
  }
}

async function narrowOpen(handle: FileHandle, uid: number): Promise<{ mode: number; narrowed: boolean }> {
  const found = await handle.stat();
  const isOpen = (found.mode & FORBIDDEN) !== 0;
  const narrowed = found.uid === uid && isOpen && (found.isFile() || found.isDirectory());
  if (narrowed) await handle.chmod(found.mode & 0o7777 & ~FORBIDDEN);
  return { mode: found.mode, narrowed };
}

function shared(folder: string): StartRefused {
  return new StartRefused(
    `data_dir: all users of this machine share ${folder}; name a folder in it, which is then made for this user alone`,
    EXIT.config,
  );
}

function openToOthers(folder: string, uid: number): StartRefused {
  return new StartRefused(
    `data_dir: every user of this machine may write in ${folder}; give it to user ${uid} with chown, or name a folder in it, which is then made for this user alone`,
    EXIT.config,
  );
}
