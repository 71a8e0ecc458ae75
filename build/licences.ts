/** The licences of all packages that an installation has. */
import { readFileSync } from 'node:fs';

/** By SPDX: permissive ones, which ask for no more than their text and a notice. */
const ALLOWED: ReadonlySet<string> = new Set([
  '0BSD',
  'Apache-2.0',
  'BlueOak-1.0.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'ISC',
  'MIT',
  'Unlicense',
]);

/** Packages whose lock entry has none, with what their package.json and LICENSE say. */
const READ_BY_HAND: Readonly<Record<string, string>> = {
  // `licenses`, a field from before SPDX: MIT or GPL.
  machina: 'MIT',
};

export interface Licence {
  name: string;
  version: string;
  /** SPDX, or what stands in its place. */
  licence: string;
}

/** The part of a lock file that is read. */
export interface Lock {
  packages: Record<string, { version?: string; dev?: boolean; license?: string }>;
}

/** Of each package in the lock file that is not for development alone. */
export function licences(lock: Lock = ownLock()): Licence[] {
  return Object.entries(lock.packages)
    .filter(([path, { dev }]) => path !== '' && dev !== true)
    .map(([path, { version = '', license }]) => {
      const name = path.replace(/^.*node_modules\//, '');
      return { name, version, licence: license ?? READ_BY_HAND[name] ?? 'none' };
    });
}

/** Those that the list of allowed ones does not have. */
export function refusedLicences(lock: Lock = ownLock()): Licence[] {
  return licences(lock).filter(({ licence }) => !ALLOWED.has(licence));
}

function ownLock(): Lock {
  return JSON.parse(readFileSync(new URL('../package-lock.json', import.meta.url), 'utf8'));
}
