/**
 * How many connections the process's file descriptors allow. Devices that are connected must not suffer from
 * new ones: SQLite, the clouds' connections and files that are read anew need descriptors too, so some are
 * kept in reserve (I10).
 */
import { readFileSync } from 'node:fs';

const LIMITS_FILE = '/proc/self/limits';
/** For everything but devices. */
const RESERVED = 128;

/** Null where the system does not tell, or sets no limit. */
export function connectionsByOpenFiles(limitsFile = LIMITS_FILE): number | null {
  try {
    const found = /^Max open files +(\d+)/m.exec(readFileSync(limitsFile, 'utf8'));
    return found ? Math.max(1, Number(found[1]) - RESERVED) : null;
  } catch {
    return null; // No such file on other systems than Linux.
  }
}
