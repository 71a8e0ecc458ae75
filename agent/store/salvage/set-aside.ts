/**
 * Replaces a damaged buffer by a salvaged one, safely against a kill at any moment. SQLite would replay a log
 * that lies beside another file into that file, and would create a missing file empty. So a note is written
 * first, and a start that finds the note completes the replacement. The file names tell the remaining steps;
 * the content of the note need not be readable, because the disk damages files.
 *
 *   1. `<file>.setting-aside` is the note
 *   2. log and file are moved to `<file>.damaged-<n>`, in this order; n is above the existing numbers
 *   3. `<file>.salvage` is made from the readable part
 *   4. it is renamed to `<file>`
 *   5. the note is removed
 */
import { existsSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { bytesOf, freeBytes, LOG, remove, syncFolderOf } from '../file/beside-files.ts';
import type { Damage, Salvaged } from '../types.ts';

/**
 * Number of damaged files kept for inspection; the oldest is deleted first (I10). They are ordered by number,
 * because clocks jump (I7).
 */
const DAMAGED_KEPT = 3;
/** The shared-memory index of a log, which a reader creates. */
const LOG_INDEX = '-shm';

/** Makes a new buffer at `target` from the readable part of `damaged`; it is on disk when this returns. */
type Make = (damaged: string, target: string) => Salvaged;

/** Moves the damaged `file` aside, and puts the result of `make` in its place. */
export function setAside(file: string, detail: string, make: Make): Damage {
  writeFileSync(noteOf(file), detail, { mode: 0o600, flush: true });
  syncFolderOf(file);
  return replace(file, (numbers(file).at(-1) ?? 0) + 1, detail, make);
}

/** Completes an interrupted replacement; null when there was none. */
export function finishSettingAside(file: string, make: Make): Damage | null {
  if (!existsSync(noteOf(file))) return null;
  const number = begun(file);
  if (number !== null) return replace(file, number, readFileSync(noteOf(file), 'utf8'), make);
  removeNote(file);
  return null;
}

/**
 * The number under which an interrupted replacement moved the log or the file; null when it had not begun, or
 * was complete.
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
    // On a full disk, the incomplete file would keep the disk full.
    removeDatabase(target);
    throw error;
  }
}

function removeNote(file: string): void {
  remove(noteOf(file));
  syncFolderOf(file);
}

/**
 * Keeps the newest damaged files, and fewer when the salvaged file would have no room beside them. Returns
 * the deleted ones.
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

/** Numbers of the damaged files, ascending; includes one of which only the log exists. */
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
