/**
 * The possible contents of a disk after a loss of power, as a model that is as unkind as POSIX lets a file
 * system be:
 *
 * - The bytes that a file's own fsync covered are there. Each change to it since then (write, truncation) may
 *   be there, be missing, or, a write, be torn: some of its 512-byte sectors are there. So later changes may
 *   be there without earlier ones. A missing write may still have made the file longer; the hole reads as
 *   zeros.
 * - A name (creation, unlink, rename) is durable with the next fsync of the folder; fsync of the file does
 *   not help. Until then each may have happened or not. ext4, XFS and Btrfs promise more: they keep these
 *   changes in order and write a new file's name with its first fsync.
 *
 * Not modelled: a disk that says it synced and did not, one that damages sectors it was not writing (SQLite's
 * "powersafe overwrite" assumes that too), garbage instead of zeros in a file that grew, bit rot, and the
 * folder's own creation.
 */
import type { Entropy } from '../../shared/entropy.ts';
import type { Entry } from './trace.ts';

const SECTOR_BYTES = 512;

type Change = { at: number } & (
  | { kind: 'write'; offset: number; data: Buffer }
  | { kind: 'truncate'; size: number }
);

type Rename = { at: number } & (
  | { kind: 'link'; name: string; file: File }
  | { kind: 'unlink'; name: string }
  | { kind: 'rename'; name: string; to: string; file: File }
);

type Fate = 'there' | 'torn' | 'missing';

class File {
  durable: Buffer = Buffer.alloc(0);
  pending: Change[] = [];
  /**
   * Where outcomes are put together. Thousands of new buffers of some megabytes would cost more than all the
   * rest.
   */
  scratch: Buffer = Buffer.alloc(0);
}

export class Disk {
  readonly #files = new Map<bigint, File>();
  /** As the process sees it. */
  readonly #names = new Map<string, File>();
  #durableNames = new Map<string, File>();
  #pendingNames: Rename[] = [];
  #at = 0;

  apply(entry: Entry): void {
    const at = this.#at++;
    switch (entry.kind) {
      case 'create': {
        const file = new File();
        this.#files.set(entry.inode, file);
        this.#names.set(entry.name, file);
        this.#pendingNames.push({ at, kind: 'link', name: entry.name, file });
        return;
      }
      case 'write':
      case 'truncate':
        this.#file(entry.inode).pending.push({ at, ...entry });
        return;
      case 'sync': {
        const file = this.#file(entry.inode);
        file.durable = Buffer.from(changed(file, () => 'there', null));
        file.pending = [];
        return;
      }
      case 'sync-folder':
        this.#durableNames = new Map(this.#names);
        this.#pendingNames = [];
        return;
      case 'unlink':
        this.#names.delete(entry.name);
        this.#pendingNames.push({ at, ...entry });
        return;
      case 'rename': {
        const file = this.#names.get(entry.name);
        if (!file) throw new Error(`the trace renames ${entry.name}, which is not there`);
        this.#names.delete(entry.name);
        this.#names.set(entry.to, file);
        this.#pendingNames.push({ at, ...entry, file });
        return;
      }
      case 'mark':
        return;
    }
  }

  /** The files as the process sees them: all that it did, synced or not. */
  seen(): Map<string, Buffer> {
    return contents(this.#names, () => 'there', null);
  }

  /**
   * The files as they may be found after power is lost now. Their contents are good until this is called
   * again.
   */
  lost(entropy: Entropy): Map<string, Buffer> {
    const fate = this.#chooseFate(entropy);
    const names = new Map(this.#durableNames);
    for (const change of this.#pendingNames) {
      // A name is not torn.
      if (fate(change.at) !== 'there') continue;
      if (change.kind === 'link') names.set(change.name, change.file);
      else if (change.kind === 'unlink') names.delete(change.name);
      else {
        if (names.get(change.name) === change.file) names.delete(change.name);
        names.set(change.to, change.file);
      }
    }
    return contents(names, fate, entropy);
  }

  /** The fate of unsynced changes, by their age: one of the ways in which disks and caches write back. */
  #chooseFate(entropy: Entropy): (at: number) => Fate {
    const way = entropy.float();
    if (way < 0.1) return () => 'missing';
    if (way < 0.2) return () => 'there';
    if (way < 0.4) {
      const last = this.#oldestUnsynced() + entropy.float() * (this.#at - this.#oldestUnsynced());
      return (at) => (at + 1 <= last ? 'there' : at <= last ? 'torn' : 'missing');
    }
    const missing = entropy.float();
    const torn = missing + (1 - missing) * entropy.float();
    return () => {
      const choice = entropy.float();
      return choice < missing ? 'missing' : choice < torn ? 'torn' : 'there';
    };
  }

  #oldestUnsynced(): number {
    const pending = [...this.#names.values()].flatMap((file) => file.pending.slice(0, 1));
    return Math.min(this.#at, ...[...pending, ...this.#pendingNames.slice(0, 1)].map(({ at }) => at));
  }

  #file(inode: bigint): File {
    const file = this.#files.get(inode);
    if (!file) throw new Error(`the trace changes inode ${inode}, which it did not create`);
    return file;
  }
}

function contents(
  names: ReadonlyMap<string, File>,
  fate: (at: number) => Fate,
  entropy: Entropy | null,
): Map<string, Buffer> {
  return new Map([...names].map(([name, file]) => [name, changed(file, fate, entropy)]));
}

/**
 * The durable part of a file, with those of its pending changes that are not missing. Without entropy nothing
 * may be torn.
 */
function changed(file: File, fate: (at: number) => Fate, entropy: Entropy | null): Buffer {
  const { durable, pending } = file;
  if (pending.length === 0) return durable;
  const ends = pending.map((change) =>
    change.kind === 'write' ? change.offset + change.data.length : change.size,
  );
  const bytes = ends.reduce((a, b) => Math.max(a, b), durable.length);
  if (file.scratch.length < bytes) file.scratch = Buffer.alloc(2 * bytes);
  const after = file.scratch.fill(0, durable.length, bytes);
  durable.copy(after);
  let size = durable.length;
  for (const change of pending) {
    const fated = fate(change.at);
    if (change.kind === 'truncate') {
      if (fated !== 'there') continue;
      after.fill(0, Math.min(size, change.size), size);
      size = change.size;
      continue;
    }
    const end = change.offset + change.data.length;
    if (fated === 'there') change.data.copy(after, change.offset);
    if (fated === 'torn' && entropy) tear(after, change.offset, change.data, entropy);
    if (fated !== 'missing' || (entropy && entropy.float() < 0.5)) size = Math.max(size, end);
  }
  return after.subarray(0, size);
}

/** Writes some of the sectors that `data` touches. */
function tear(into: Buffer, offset: number, data: Buffer, entropy: Entropy): void {
  for (let from = 0; from < data.length; ) {
    const to = Math.min(data.length, from + SECTOR_BYTES - ((offset + from) % SECTOR_BYTES));
    if (entropy.float() < 0.5) data.copy(into, offset + from, from, to);
    from = to;
  }
}
