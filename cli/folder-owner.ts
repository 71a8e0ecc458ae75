/**
 * Commands that root runs on the folder of a service. The service's user owns the folder, so it can put a
 * link in the place of any file there. Root would follow the link. So the process becomes the owner of the
 * folder, for good, before it touches a file of it.
 */
import { accessSync, constants, lstatSync, readlinkSync, type Stats, statSync } from 'node:fs';
import { dirname, join, parse, resolve, sep } from 'node:path';
import { errorCode } from '../shared/config/references.ts';
import { EXIT } from '../shared/exit-codes.ts';
import { StartRefused } from '../shared/start-refused.ts';

const LINKS_MAX = 40;
const STICKY = 0o1000;
const OTHERS_WRITE = 0o022;

/**
 * Without root's rights: returns `folder`. As root: the process gets the user and group of the folder's
 * owner, and returns a path of the folder that this user can use: systemd keeps the folder of a DynamicUser
 * below a folder that only root may enter. Of a missing folder, or a file in its place,
 * the nearest folder above it counts.
 *
 * Throws StartRefused where others than root and the owner may replace a part of the path, or where root's
 * own folder is open to others.
 */
export function becomeOwner(folder: string): string {
  if (process.geteuid?.() !== 0) return folder;
  const existing = nearest(resolve(folder));
  const found = statSync(existing);
  checkWay(existing, found.uid);
  process.chdir(existing);
  const here = statSync('.');
  if (here.ino !== found.ino || here.dev !== found.dev) throw refused(folder, 'was replaced meanwhile');
  if (here.uid === 0) {
    if (isOpen(here)) throw refused(folder, 'belongs to root, and others may write there');
    return resolve(folder);
  }
  process.setgroups?.([here.gid]);
  process.setgid?.(here.gid);
  process.setuid?.(here.uid);
  return existing === resolve(folder) ? '.' : folder;
}

/**
 * As `becomeOwner`, for a database, which SQLite opens by its full path. Throws StartRefused where the owner
 * cannot come to the folder.
 */
export function becomeOwnerByPath(folder: string): void {
  const uid = process.geteuid?.();
  becomeOwner(folder);
  if (uid !== 0) return;
  try {
    // A file in its place is told by the command itself, as a missing folder is.
    if (statSync(folder).isDirectory()) accessSync(folder, constants.X_OK);
  } catch (error) {
    if (errorCode(error) !== 'EACCES') return;
    throw new StartRefused(
      `${folder}: its owner cannot come to it from outside of the service. Run the command as the service: systemd-run --pipe --wait --property=DynamicUser=yes --property=User=headgate-router --property=StateDirectory=headgate-router <command>`,
      EXIT.failed,
    );
  }
}

function nearest(path: string): string {
  for (let at = path; ; at = dirname(at)) {
    if (statSync(at, { throwIfNoEntry: false })?.isDirectory() || at === dirname(at)) return at;
  }
}

/**
 * Every folder and link on the way belongs to root or to `uid`, and nobody else may replace an entry of the
 * folders above the last one.
 */
function checkWay(path: string, uid: number): void {
  let links = 0;
  let at = parse(path).root;
  const names = path.split(sep).filter((name) => name !== '');
  for (let name = names.shift(); name !== undefined; name = names.shift()) {
    const above = lstatSync(at);
    if (isOpen(above) && (above.mode & STICKY) === 0)
      throw refused(at, 'is on the way, and others may write there');
    const next = join(at, name);
    const entry = lstatSync(next);
    if (entry.uid !== 0 && entry.uid !== uid)
      throw refused(next, 'is on the way, and belongs to another user');
    if (!entry.isSymbolicLink()) {
      at = next;
      continue;
    }
    links += 1;
    if (links > LINKS_MAX) throw refused(path, 'has too many links on the way');
    names.unshift(
      ...resolve(at, readlinkSync(next))
        .split(sep)
        .filter((part) => part !== ''),
    );
    at = parse(path).root;
  }
}

/** Whether others than the owner and root's group may write. */
function isOpen({ mode, gid }: Stats): boolean {
  return (mode & (gid === 0 ? OTHERS_WRITE & 0o007 : OTHERS_WRITE)) !== 0;
}

function refused(path: string, problem: string): StartRefused {
  return new StartRefused(
    `${path} ${problem}: root does not work there; run the command as the user of the service, or correct the owner and mode`,
    EXIT.config,
  );
}
