/** The named states of a failing disk: for the log, the metrics, the status and the operator (I9). */

export type DiskState =
  /** Records are taken. */
  | 'ok'
  /**
   * No space (ENOSPC, a quota). Draining and deleting go on with the reserve; intake resumes when there is
   * room.
   */
  | 'disk-full'
  /** Mounted read-only (EROFS), by Linux after errors, or by a setting. */
  | 'read-only'
  /** Reads, writes or syncs fail (EIO): the card or its cable is failing. */
  | 'io-error'
  /**
   * The folder or the mount under it is gone. No new buffer is created in its place: the old one may come
   * back.
   */
  | 'missing'
  /** Any other failure; the error has the detail. */
  | 'failed';

export const DISK_STATES: readonly DiskState[] = [
  'ok',
  'disk-full',
  'read-only',
  'io-error',
  'missing',
  'failed',
];

/** Advice for each state, for the log and `headgate status`. */
export const DISK_ADVICE: Readonly<Record<DiskState, string | null>> = {
  ok: null,
  'disk-full': 'free some space on the disk of data_dir, or give the buffer a smaller max_bytes',
  'read-only': 'mount the disk of data_dir writable; if it turned read-only by itself, replace the card',
  'io-error': 'the disk of data_dir fails: replace the card or check its cable',
  missing: 'mount the disk of data_dir again, or restart the agent to begin a new buffer',
  failed: null,
};

/** errno(3), and https://www.sqlite.org/rescode.html. The first prefix of a code counts. */
const BY_CODE: ReadonlyArray<[prefix: string, state: DiskState]> = [
  ['ENOSPC', 'disk-full'],
  ['EDQUOT', 'disk-full'],
  ['EFBIG', 'disk-full'],
  ['SQLITE_FULL', 'disk-full'],
  ['EROFS', 'read-only'],
  ['SQLITE_READONLY', 'read-only'],
  ['ENOENT', 'missing'],
  ['ENODEV', 'missing'],
  ['ENXIO', 'missing'],
  ['ESTALE', 'missing'],
  ['ENOTCONN', 'missing'],
  ['EIO', 'io-error'],
  ['SQLITE_IOERR', 'io-error'],
];

/** The state for the code of an error of SQLite or of the system. */
export function diskStateOf(error: unknown): DiskState {
  const code: unknown = error instanceof Error ? Reflect.get(error, 'code') : undefined;
  if (typeof code !== 'string') return 'failed';
  return BY_CODE.find(([prefix]) => code.startsWith(prefix))?.[1] ?? 'failed';
}
