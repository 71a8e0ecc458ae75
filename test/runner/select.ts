/**
 * Which test files a command runs.
 *
 * - `*.test.ts` run in `npm test`.
 * - Of these, those whose imports reach no process, no socket, no database and no vendor's SDK are the unit
 *   tests (`npm run test:unit`). The imports say so, not a list.
 * - `*.slow.ts` take minutes (`npm run test:slow`).
 * - `*.weather.ts` run in a network namespace (`npm run test:weather`, test/weather/run.ts).
 * - `*.servers.ts` need a server of somebody else (`npm run test:servers`, test/servers/run.ts).
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { posix } from 'node:path';
import { ROOT } from './run-file.ts';

export const KINDS = ['all', 'unit', 'slow', 'weather'] as const;
export type Kind = (typeof KINDS)[number];

const SUFFIXES: Readonly<Record<Kind, string>> = {
  all: '.test.ts',
  unit: '.test.ts',
  slow: '.slow.ts',
  weather: '.weather.ts',
};

/** Modules of Node.js and packages that a unit test does not reach. */
const NOT_IN_A_UNIT =
  /^(?:node:(?:child_process|cluster|dgram|http2?|https|net|tls|worker_threads)|@(?:aws-sdk|azure|google-cloud|grpc|nats-io)\/.+|aedes.*|azure-iot-.+|better-sqlite3|fastify|mqtt|pg|rhea|ws)$/;

/**
 * The files that take the longest, the longest first: begun first, they do not run alone at the end. Those
 * that mostly wait stand between those that mostly compute.
 */
const FIRST = [
  'test/e2e/',
  'test/router/sources/pubsub/',
  'test/routing/',
  'test/agent/providers/contract',
  'test/agent/broker/qos/qos2-cases',
  'test/router/sources/',
  'test/fuzz/',
  'test/agent/providers/phases',
  'test/crash/',
  'test/sim/',
  'test/agent/store/',
  'test/router/ledger/sqlite/',
  'test/agent/new-configuration',
  'test/agent/history/',
  'test/agent/holds/',
  'test/agent/broker/',
  'test/cli/',
];

/** Paths from the root, in the order in which to run them. With `places`, only files under one of these. */
export function selectFiles(kind: Kind, places: readonly string[]): string[] {
  const suffix = SUFFIXES[kind];
  return readdirSync(`${ROOT}test`, { recursive: true, encoding: 'utf8' })
    .map((path) => `test/${path}`)
    .filter((path) => path.endsWith(suffix))
    .filter((path) => places.length === 0 || places.some((place) => path.startsWith(place)))
    .filter((path) => kind !== 'unit' || isUnit(path))
    .toSorted((a, b) => rank(a) - rank(b) || a.localeCompare(b));
}

function rank(path: string): number {
  const place = FIRST.findIndex((prefix) => path.startsWith(prefix));
  return place === -1 ? FIRST.length : place;
}

export function isUnit(path: string, read: (path: string) => string = readFromRoot): boolean {
  const seen = new Set([path]);
  for (const file of seen) {
    for (const specifier of specifiersOf(read(file))) {
      if (NOT_IN_A_UNIT.test(specifier)) return false;
      if (specifier.startsWith('.')) seen.add(posix.join(posix.dirname(file), specifier));
    }
  }
  return true;
}

/** The modules that a file runs. Imports of types are erased. */
function specifiersOf(text: string): string[] {
  const statements = text.matchAll(
    /^(?:import|export)\s(?!type\s)(?:[^'";]*\sfrom\s)?'([^']+)'|\bimport\('([^']+)'\)/gm,
  );
  return [...statements].map(([, named, lazy]) => named ?? lazy ?? '');
}

/** Nothing of a file that is not there: a snippet of source in a test names such files. */
function readFromRoot(path: string): string {
  const file = `${ROOT}${path}`;
  return path.endsWith('.ts') && existsSync(file) ? readFileSync(file, 'utf8') : '';
}
