/**
 * Puts a salvaged buffer in the place of a damaged one, whatever moment the process is killed in. A log that
 * lay beside another file would be replayed into it, and a file that is missing is created empty: so a note
 * is left first, and a start that finds it does the rest. What that is, the names tell: nothing in the note
 * has to be readable, on a disk that damages files.
 *
 *   1. `<file>.setting-aside` is the note
 *   2. log and file are moved to `<file>.damaged-<n>`, in this order; n is above those that are there
 *   3. `<file>.salvage` is made of what can be read of it
 *   4. it is renamed to `<file>`
 *   5. the note is removed
 */
import { existsSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { bytesOf, freeBytes, LOG, remove, syncFolderOf } from '../file/beside-files.ts';
import type { Damage, Salvaged } from '../types.ts';

/**
 * Damaged files that are kept for a person to look at; the oldest goes first (I10). By number: clocks jump
 * (I7).
 */
const DAMAGED_KEPT = 3;
/** The index of a log, which a reader makes. */
const LOG_INDEX = '-shm';

/** Makes a new buffer at `target` of what can be read at `damaged`, on the disk when it returns. */
type Make = (damaged: string, target: string) => Salvaged;

/** The damaged `file` is moved aside, and what `make` makes of it takes its place. */
export function setAside(file: string, detail: string, make: Make): Damage {
  writeFileSync(noteOf(file), detail, { mode: 0o600, flush: true });
  syncFolderOf(file);
  return replace(file, (numbers(file).at(-1) ?? 0) + 1, detail, make);
}

/** Does the rest of a replacement that was cut short; null when there was none. */
export function finishSettingAside(file: string, make: Make): Damage | null {
  if (!existsSync(noteOf(file))) return null;
  const number = begun(file);
  if (number !== null) return replace(file, number, readFileSync(noteOf(file), 'utf8'), make);
  removeNote(file);
  return null;
}

/**
 * The number under which a replacement moved the log or the file; null when it did not come so far, or was
 * over.
 */
function begun(file: string): number | null {
  const number = numbers(file).at(-1);
  if (number === undefined) return null;
  const isMoved = existsSync(damagedOf(file, number));
  return isMoved === existsSync(file) ? null : number;
}

function replace(file: string, number: number, detail: string, make: Make): Damage {
  const movedTo = damagedOf(file, number);
  for (const part of [LOG, '']) if (existsSync(file + part)) renameSync(file + part, movedTo + part);
  syncFolderOf(file);
  const target = `${file}.salvage`;
  removeDatabase(target);
  const removed = removeOlder(file, number);
  try {
    const salvaged = make(movedTo, target);
    remove(movedTo + LOG_INDEX);
    renameSync(target, file);
    syncFolderOf(file);
    removeNote(file);
    return { detail, movedTo, removed, ...salvaged };
  } catch (error) {
    // On a full disk it would keep the disk full.
    removeDatabase(target);
    throw error;
  }
}

function removeNote(file: string): void {
  remove(noteOf(file));
  syncFolderOf(file);
}

/**
 * Keeps the newest, and fewer when the salvaged file would have no room beside them. Returns what is gone.
 */
function removeOlder(file: string, number: number): string[] {
  const newest = damagedOf(file, number);
  const neededBytes = bytesOf(newest) + bytesOf(newest + LOG);
  const removed: string[] = [];
  const older = numbers(file).filter((one) => one < number);
  for (const [i, one] of older.entries()) {
    if (older.length - i < DAMAGED_KEPT && freeBytes(file) >= neededBytes) break;
    removeDatabase(damagedOf(file, one));
    removed.push(damagedOf(file, one));
  }
  return removed;
}

/** Of the damaged files, ascending; also of one whose log alone is there. */
function numbers(file: string): number[] {
  const prefix = `${basename(file)}.damaged-`;
  const found = readdirSync(dirname(file))
    .filter((name) => name.startsWith(prefix))
    .map((name) => Number(name.slice(prefix.length).replace(LOG, '')));
  return [...new Set(found.filter(Number.isSafeInteger))].sort((a, b) => a - b);
}

function damagedOf(file: string, number: number): string {
  return `${file}.damaged-${number}`;
}

function noteOf(file: string): string {
  return `${file}.setting-aside`;
}

function removeDatabase(file: string): void {
  for (const part of [LOG, LOG_INDEX, '-journal', '']) remove(file + part);
}
