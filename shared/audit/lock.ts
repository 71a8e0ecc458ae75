/**
 * The lock between writers of one audit log: a file that is made and removed. Nothing frees it when its
 * holder is killed, so a waiting writer takes away the lock of a process that has ended, or one that stayed
 * the same for STALE_MS: an entry takes milliseconds.
 */
import { type FileHandle, open, readFile, readlink, stat, unlink } from 'node:fs/promises';
import type { Clock } from '../clock.ts';

/** A holder in another container cannot be seen to have ended. */
const STALE_MS = 10_000;
/** Longer than STALE_MS, so that a kill never refuses the next change. */
const WAIT_MS = 20_000;
const PAUSE_MS = 20;

class LockBusy extends Error {
  override readonly name = 'LockBusy';
}

/** Resolves with the release. Rejects with LockBusy after 20 s, or as the system refuses the file. */
export async function locked(file: string, clock: Clock): Promise<() => Promise<void>> {
  const own = await identity();
  const begunMs = clock.monoMs();
  const seen = new Unchanged(clock);
  for (;;) {
    const made = await makeNew(file, own);
    if (made !== null) return () => release(file, made);
    const stamp = await stampOf(file);
    if (stamp !== null && (seen.forMs(file, stamp) >= STALE_MS || (await hasEnded(file, own))))
      await takeAway(file, stamp, seen);
    if (clock.monoMs() - begunMs > WAIT_MS) throw new LockBusy(`another process has ${file}`);
    await clock.sleep(PAUSE_MS);
  }
}

/** How long each file was seen to be the same one. */
class Unchanged {
  readonly #clock: Clock;
  readonly #seen = new Map<string, { stamp: string; sinceMs: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  forMs(file: string, stamp: string): number {
    const nowMs = this.#clock.monoMs();
    const known = this.#seen.get(file);
    if (known?.stamp === stamp) return nowMs - known.sinceMs;
    this.#seen.set(file, { stamp, sinceMs: nowMs });
    return 0;
  }
}

/** The number of the new file's inode; null where there is a file. */
async function makeNew(file: string, text: string): Promise<bigint | null> {
  let handle: FileHandle;
  try {
    handle = await open(file, 'wx', 0o600);
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return null;
    throw error;
  }
  try {
    const { ino } = await handle.stat({ bigint: true });
    // On a full disk the file stays empty: it is a lock all the same.
    await handle.writeFile(text).catch(() => undefined);
    return ino;
  } finally {
    await handle.close();
  }
}

async function release(file: string, ino: bigint): Promise<void> {
  const found = await stat(file, { bigint: true }).catch(() => null);
  if (found?.ino === ino) await unlink(file).catch(() => undefined); // Another writer took it away.
}

/**
 * Removes the lock, unless it became another one. Two writers must not do it at once: the second would remove
 * the lock that the first one then made.
 */
async function takeAway(file: string, stamp: string, seen: Unchanged): Promise<void> {
  const breaking = `${file}.breaking`;
  if ((await makeNew(breaking, '')) === null) {
    const old = await stampOf(breaking);
    if (old !== null && seen.forMs(breaking, old) >= STALE_MS) await unlink(breaking).catch(() => undefined);
    return;
  }
  if ((await stampOf(file)) === stamp) await unlink(file).catch(() => undefined);
  await unlink(breaking).catch(() => undefined);
}

/** Inode and time of change; null for no file. */
async function stampOf(file: string): Promise<string | null> {
  const found = await stat(file, { bigint: true }).catch(() => null);
  return found && `${found.ino} ${found.ctimeNs}`;
}

/** Whether the holder is a process of this PID namespace that has ended. */
async function hasEnded(file: string, own: string): Promise<boolean> {
  const [namespace, pid, began] = (await readFile(file, 'utf8').catch(() => '')).split(' ');
  if (namespace !== own.split(' ')[0] || namespace === '-' || !/^\d+$/.test(pid ?? '')) return false;
  return (await startOf(pid ?? '')) !== began;
}

/** PID namespace, PID and start of this process: together never given twice on a running machine. */
async function identity(): Promise<string> {
  const namespace = await readlink('/proc/self/ns/pid').catch(() => '-');
  return `${namespace} ${process.pid} ${await startOf(String(process.pid))}`;
}

/** Field 22 of /proc/[pid]/stat, proc(5): the start in clock ticks since boot. Empty: no process. */
async function startOf(pid: string): Promise<string> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  // The name of the program, in parentheses, may hold spaces.
  return text.slice(text.lastIndexOf(')') + 2).split(' ')[19] ?? '';
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : '';
}
