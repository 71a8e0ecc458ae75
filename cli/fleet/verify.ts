/** The work of `headgate fleet verify`. */
import { stat } from 'node:fs/promises';
import { dirname, join, relative, resolve } from 'node:path';
import { systemClock } from '../../shared/clock.ts';
import { type ConfigProblem, formatProblems } from '../../shared/config/load.ts';
import { EXIT, type ExitCode } from '../../shared/exit-codes.ts';
import type { FleetState, Member } from '../../shared/fleet/core/acceptance.ts';
import { table } from '../format.ts';
import { fail, printJson, printLine } from '../output.ts';
import { filesOf, isFolder, PLACES } from './folder.ts';
import type { Row } from './row.ts';
import { readRoots, readSigned } from './signed.ts';
import { readWritten } from './written.ts';

interface VerifyFlags {
  root?: string;
  gateway?: string;
  fleet?: string;
  json?: boolean;
}

interface Place {
  folder: string;
  /** The one file to tell about; null for the whole folder. */
  file: string | null;
}

const DIGEST = /^[0-9a-f]{64}$/;
const DIGEST_SHOWN = 12;

export async function verifyFleet(path: string, flags: VerifyFlags): Promise<ExitCode> {
  const { root: pinned, gateway, json } = flags;
  if (pinned !== undefined && !DIGEST.test(pinned))
    return fail('--root: expected the SHA-256 of the first root, 64 hex digits', EXIT.usage);
  const place = await locate(path, flags.fleet);
  if (typeof place === 'number') return place;
  const { folder, file } = place;
  const isAsked = (one: string): boolean => file === null || one === file;
  const written = await readWritten(folder, isAsked);
  const member = written.members.find((one) => one.gateway === gateway) ?? null;
  if (gateway !== undefined && member === null)
    return fail(`--gateway ${gateway}: there is no correct ${PLACES.gateways}/${gateway}.yaml`, EXIT.usage);
  const roots = await readRoots(folder, pinned ?? null);
  const signed = await readRest(place, roots.state, member);
  const problems = [...roots.problems, ...written.problems, ...signed.problems];
  const rows = [...roots.rows, ...written.rows, ...signed.rows];
  if (json) printJson(reportOf(roots.state, rows, problems));
  else print(folder, rows, problems);
  return problems.length === 0 ? EXIT.ok : EXIT.failed;
}

/** The folder, or that of a file. The exit code after an error message. */
async function locate(path: string, fleet: string | undefined): Promise<Place | ExitCode> {
  const given = resolve(path);
  const found = await stat(given).catch(() => null);
  if (found === null) return fail(`there is no ${path}`, EXIT.usage);
  if (fleet !== undefined && !(await isFolder(fleet)))
    return fail(`--fleet: there is no folder ${fleet}`, EXIT.usage);
  if (found.isDirectory())
    return fleet === undefined
      ? { folder: given, file: null }
      : fail('--fleet goes with a file: the path is a folder', EXIT.usage);
  if (fleet !== undefined) return { folder: resolve(fleet), file: given };
  // A file lies in the folder itself, or in one of its parts.
  for (const folder of [dirname(given), dirname(dirname(given))])
    if (await isFolder(join(folder, PLACES.roots))) return { folder, file: given };
  return fail(`${path} is in no fleet folder: name the folder with the roots by --fleet`, EXIT.usage);
}

/** Without a root there is nothing to verify by, and its problem says so. */
async function readRest({ folder, file }: Place, root: FleetState | null, member: Member | null) {
  if (root === null) return { rows: [], problems: [] };
  const inFolder = await filesOf(join(folder, PLACES.signed), '.json');
  const files = inFolder.filter((one) => file === null || one === file);
  if (file !== null && isElsewhere(folder, file)) files.push(file);
  return readSigned(files, root, member === null ? null : { member, nowMs: systemClock.wallMs() });
}

function isElsewhere(folder: string, file: string): boolean {
  return relative(folder, file).startsWith('..');
}

function reportOf(state: FleetState | null, rows: readonly Row[], problems: readonly ConfigProblem[]) {
  const root = state && {
    authority: state.trusted.root.authority,
    term: state.trusted.root.term,
    version: state.trusted.root.version,
    digest: state.trusted.digest,
  };
  return { ok: problems.length === 0, root, files: rows, problems };
}

function print(folder: string, rows: readonly Row[], problems: readonly ConfigProblem[]): void {
  const shown = rows.map(({ file, is, digest, signedBy, verdict }) => [
    isElsewhere(folder, file) ? file : relative(folder, file),
    is,
    digest?.slice(0, DIGEST_SHOWN) ?? '–',
    signedBy.join(', ') || '–',
    verdict,
  ]);
  printLine(table(['FILE', 'IS', 'SHA-256', 'SIGNED BY', 'VERDICT'], shown));
  if (problems.length > 0) fail(formatProblems(problems), EXIT.failed);
}
