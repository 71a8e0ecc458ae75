/**
 * Puts a salvaged buffer in the place of a damaged one, whatever moment the process is killed in. A log that lay beside another
 * file would be replayed into it, and a file that is missing is created empty: so what is to be done is written down
 * first, and a start that finds it written down does the rest.
 *
 *   1. `<file>.salvage.json` names where the damaged file goes
 *   2. log and file are moved there, in this order
 *   3. `<file>.salvage` is made of what can be read of it
 *   4. it is renamed to `<file>`
 *   5. the note is removed
 */
import {
  closeSync,
  existsSync,
  fsyncSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { Salvaged } from './salvage.ts';

/** Damaged files that are kept for a person to look at; the oldest goes first (I10). */
const DAMAGED_KEPT = 3;
/** A database's log, and the index of it that a reader makes. */
const LOG = '-wal';
const LOG_INDEX = '-shm';

/** What was wrong with the file that was found, where it is now, and what of it is in the new one. */
export interface Damage extends Salvaged {
  detail: string;
  movedTo: string;
}

interface Note {
  detail: string;
  movedTo: string;
}

/** Makes a new buffer at `target` of what can be read at `damaged`, on the disk when it returns. */
type Make = (damaged: string, target: string) => Salvaged;

/** The damaged `file` is moved to `movedTo`, and what `make` makes of it takes its place. */
export function setAside(file: string, note: Note, make: Make): Damage {
  const draft = `${noteOf(file)}.new`;
  writeFileSync(draft, JSON.stringify(note), { mode: 0o600, flush: true });
  renameSync(draft, noteOf(file));
  syncFolder(file);
  return replace(file, note, make);
}

/** Does the rest of a replacement that was cut short; null when there was none. */
export function finishSettingAside(file: string, make: Make): Damage | null {
  if (!existsSync(noteOf(file))) return null;
  const note: Note = JSON.parse(readFileSync(noteOf(file), 'utf8'));
  if (existsSync(note.movedTo) && existsSync(file)) {
    // Only the note was left; what was salvaged had been said, or is said now without figures.
    removeNote(file);
    return null;
  }
  return replace(file, note, make);
}

function replace(file: string, { detail, movedTo }: Note, make: Make): Damage {
  for (const part of [LOG, '']) if (existsSync(file + part)) renameSync(file + part, movedTo + part);
  syncFolder(file);
  const target = `${file}.salvage`;
  for (const part of ['', LOG, '-journal']) remove(target + part);
  const salvaged = make(movedTo, target);
  remove(movedTo + LOG_INDEX);
  renameSync(target, file);
  syncFolder(file);
  removeNote(file);
  removeOldest(file);
  return { detail, movedTo, ...salvaged };
}

function removeNote(file: string): void {
  remove(noteOf(file));
  syncFolder(file);
}

function removeOldest(file: string): void {
  const folder = dirname(file);
  const damaged = readdirSync(folder)
    .filter((name) => name.startsWith(`${basename(file)}.damaged-`) && !name.endsWith(LOG))
    .map((name) => join(folder, name))
    .sort((a, b) => statSync(b).ctimeMs - statSync(a).ctimeMs);
  for (const old of damaged.slice(DAMAGED_KEPT)) {
    for (const part of ['', LOG]) remove(old + part);
  }
}

function noteOf(file: string): string {
  return `${file}.salvage.json`;
}

/** A rename is durable when its folder is; fsync(2). */
function syncFolder(file: string): void {
  const folder = openSync(dirname(file), 'r');
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}

function remove(file: string): void {
  if (existsSync(file)) unlinkSync(file);
}
