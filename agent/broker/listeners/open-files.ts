/**
 * The number of connections that the process's file descriptors allow. SQLite, cloud connections and file
 * reads need descriptors too, so some are reserved: new connections must not harm connected devices (I10).
 */
import { readFileSync } from 'node:fs';

const LIMITS_FILE = '/proc/self/limits';
/** Descriptors reserved for everything except devices. */
const RESERVED = 128;

/** Null where the system does not report a limit, or sets none. */
export function connectionsByOpenFiles(limitsFile = LIMITS_FILE): number | null {
  try {
    const found = /^Max open files +(\d+)/m.exec(readFileSync(limitsFile, 'utf8'));
    return found ? Math.max(1, Number(found[1]) - RESERVED) : null;
  } catch {
    return null; // No such file on other systems than Linux.
  }
}
