/**
 * The trace of recorder.c, read and written: the order in which a process changed the files of one folder.
 * Writes to the file `marks` are no part of the disk; they are lines in which the workload says what it was
 * told.
 */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

/** The file in the recorded folder that takes the workload's words. */
export const MARKS = 'marks';

const HEADER_BYTES = 24;
/** In the order of `enum kind` of recorder.c, which counts from 1. */
const KINDS = ['create', 'write', 'truncate', 'sync', 'sync-folder', 'unlink', 'rename'] as const;

type Kind = (typeof KINDS)[number];

export type Entry =
  | { kind: 'create'; inode: bigint; name: string }
  | { kind: 'write'; inode: bigint; offset: number; data: Buffer }
  | { kind: 'truncate'; inode: bigint; size: number }
  | { kind: 'sync'; inode: bigint }
  | { kind: 'sync-folder' }
  | { kind: 'unlink'; name: string }
  | { kind: 'rename'; name: string; to: string }
  | { kind: 'mark'; line: string };

/** All entries of a trace file. Throws on one that is not whole: the recorder writes each with one call. */
export function readTrace(file: string): Entry[] {
  const bytes = readFileSync(file);
  const entries: Entry[] = [];
  let marks = -1n;
  for (let at = 0; at < bytes.length; ) {
    const nameEnd = at + HEADER_BYTES + bytes.readUInt8(at + 1);
    const end = nameEnd + bytes.readUInt32LE(at + 4);
    if (end > bytes.length) throw new Error(`${file} ends within an entry`);
    const entry = entryOf(
      bytes.subarray(at, at + HEADER_BYTES),
      bytes.toString('utf8', at + HEADER_BYTES, nameEnd),
      bytes.subarray(nameEnd, end),
    );
    at = end;
    if (entry.kind === 'create' && entry.name === MARKS) marks = entry.inode;
    else if ('inode' in entry && entry.inode === marks) entries.push(...marksIn(entry));
    else entries.push(entry);
  }
  return entries;
}

/** The start of a trace: the files that are in the folder now, all of them on the disk. */
export function prologue(folder: string): Buffer {
  const nothing = Buffer.alloc(0);
  const parts: Buffer[] = [];
  for (const name of readdirSync(folder)) {
    const path = join(folder, name);
    const inode = statSync(path, { bigint: true }).ino;
    parts.push(entryBytes('create', inode, name, nothing));
    parts.push(entryBytes('write', inode, '', readFileSync(path)));
    parts.push(entryBytes('sync', inode, '', nothing));
  }
  return Buffer.concat([...parts, entryBytes('sync-folder', 1n, '', nothing)]);
}

function entryBytes(kind: Kind, inode: bigint, name: string, data: Buffer): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt8(KINDS.indexOf(kind) + 1);
  header.writeUInt8(Buffer.byteLength(name), 1);
  header.writeUInt32LE(data.length, 4);
  header.writeBigUInt64LE(inode, 8);
  return Buffer.concat([header, Buffer.from(name), data]);
}

function entryOf(header: Buffer, name: string, data: Buffer): Entry {
  const kind = KINDS[header.readUInt8() - 1];
  if (kind === undefined) throw new Error(`no kind of entry: ${header.readUInt8()}`);
  const inode = header.readBigUInt64LE(8);
  const offset = Number(header.readBigUInt64LE(16));
  switch (kind) {
    case 'create':
      return { kind, inode, name };
    case 'write':
      return { kind, inode, offset, data };
    case 'truncate':
      return { kind, inode, size: offset };
    case 'sync':
      return { kind, inode };
    case 'sync-folder':
      return { kind };
    case 'unlink':
      return { kind, name };
    case 'rename':
      return { kind, name, to: data.toString() };
  }
}

function marksIn(entry: Entry): Entry[] {
  if (entry.kind !== 'write') return [];
  const lines = entry.data.toString().split('\n');
  return lines.filter((line) => line !== '').map((line) => ({ kind: 'mark', line }));
}
