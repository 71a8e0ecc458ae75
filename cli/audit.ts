/**
 * `headgate audit`: the log of a data folder, or the trail of a gateway in the router's ledger. Reads alone;
 * beside a running process too.
 */
import { readFile, stat } from 'node:fs/promises';
import { z } from 'zod';
import {
  type ChainedEntry,
  type ChainProblem,
  type ChainReport,
  type Copy,
  checkCopy,
  compareWithCopy,
  digest,
} from '../shared/audit/audit-log.ts';
import { isoTime, systemClock } from '../shared/clock.ts';
import { dataDir as folderSchema } from '../shared/config/common.ts';
import { formatProblems, loadSections } from '../shared/config/load.ts';
import { errorCode } from '../shared/config/references.ts';
import { EXIT, type ExitCode } from '../shared/exit-codes.ts';
import { changesOf } from './audit-changes.ts';
import { trailOf } from './audit-trail.ts';
import { auditOf } from './audited.ts';
import { becomeOwner } from './folder-owner.ts';
import { fail, printJson, printLine } from './output.ts';
import { renderChanges, renderReport } from './render/audit.ts';
import { terminal } from './terminal.ts';
import { parseTime, TIME_FORMS } from './time.ts';

interface Flags {
  dataDir?: string;
  config?: string;
  gateway?: string;
  since?: string;
  against?: string;
  json?: boolean;
}

/** A log or a trail, read to its end. */
interface Read {
  entries: ChainedEntry[];
  reports: ChainReport[];
  problems: ChainProblem[];
}

export async function show(flags: Flags): Promise<number> {
  const read = await readFor(flags);
  if (typeof read === 'number') return read;
  const since = sinceOf(flags);
  if (since === null) return fail(`--since ${flags.since}: ${TIME_FORMS}`, EXIT.usage);
  const changes = changesOf(read.entries.map(({ entry }) => entry)).filter(({ at }) => at >= since);
  if (flags.json) printJson(changes);
  else printLine(renderChanges(changes));
  return EXIT.ok;
}

export async function verify(flags: Flags): Promise<number> {
  // Before the process becomes the owner of the folder, who may not read it.
  const copy = flags.against === undefined ? null : await readCopy(flags.against);
  if (typeof copy === 'number') return copy;
  const read = await readFor(flags);
  if (typeof read === 'number') return read;
  const against = copy === null ? [] : contradictions(read, copy);
  const problems = [...read.reports.flatMap((report) => report.problems), ...[...read.problems, ...against]];
  const isWhole = problems.length === 0;
  const result = { isWhole, logs: read.reports, problems, comparedWith: flags.against ?? null };
  if (flags.json) printJson(result);
  else printLine(renderReport(result));
  return isWhole ? EXIT.ok : EXIT.failed;
}

export async function exportLines(flags: Flags): Promise<number> {
  const since = sinceOf(flags);
  if (since === null) return fail(`--since ${flags.since}: ${TIME_FORMS}`, EXIT.usage);
  const read = await readFor(flags);
  if (typeof read === 'number') return read;
  const { stdout } = terminal();
  for (const { entry, line } of read.entries) if (entry.at >= since) stdout.write(`${line}\n`);
  return EXIT.ok;
}

/** As the log writes times, so that texts compare as times do; empty for all, null for no time. */
function sinceOf({ since }: Flags): string | null {
  if (since === undefined) return '';
  const wallMs = parseTime(since, systemClock.wallMs());
  return wallMs === null ? null : isoTime(wallMs);
}

function contradictions({ entries, reports }: Read, copy: Copy): ChainProblem[] {
  const hashes = new Map(entries.map(({ entry, hash }) => [entry.seq, hash]));
  const [own] = reports;
  const inCopy = copy.logs.flatMap(({ log, report }) =>
    report.problems.map(({ seq, problem }) => ({ seq, problem: `in the copy of log ${log}: ${problem}` })),
  );
  const none = copy.problems.map(({ seq, problem }) => ({ seq, problem: `in the copy: ${problem}` }));
  const found = compareWithCopy({ log: own?.log ?? null, last: own?.last ?? null, hashes }, copy);
  return [...found, ...inCopy, ...none];
}

async function readFor(flags: Flags): Promise<Read | ExitCode> {
  const { dataDir, config, gateway } = flags;
  if ((dataDir === undefined) === (config === undefined))
    return fail('give --data-dir <folder> or --config <agent.yaml or router.yaml>', EXIT.usage);
  if (gateway === undefined) return readFolder(flags);
  if (config === undefined) return fail('--gateway needs --config <router.yaml>', EXIT.usage);
  const trail = await trailOf(config, gateway);
  if (typeof trail === 'number') return trail;
  const { logs, problems } = checkCopy(trail, digest);
  const entries = logs.flatMap((log) => [...log.entries].toSorted(([a], [b]) => a - b).map(([, one]) => one));
  return { entries, reports: logs.map(({ report }) => report), problems };
}

async function readFolder({ dataDir, config }: Flags): Promise<Read | ExitCode> {
  const folder = dataDir ?? folderOf(config ?? '');
  if (typeof folder === 'number') return folder;
  const isFolder = await stat(folder).then(
    (found) => found.isDirectory(),
    () => false,
  );
  if (!isFolder) return fail(`there is no folder ${folder}`, EXIT.failed);
  const entries: ChainedEntry[] = [];
  const report = await auditOf(becomeOwner(folder), 'agent').check((entry) => entries.push(entry));
  return { entries, reports: [report], problems: [] };
}

/** Nothing else of the file is needed, least of all its secrets. */
function folderOf(config: string): string | ExitCode {
  const loaded = loadSections(config, z.object({ data_dir: folderSchema() }));
  return loaded.ok ? loaded.config.data_dir : fail(formatProblems(loaded.problems), EXIT.config);
}

async function readCopy(file: string): Promise<Copy | ExitCode> {
  try {
    const text = await readFile(file, 'utf8');
    return checkCopy(
      text.split('\n').filter((line) => line !== ''),
      digest,
    );
  } catch (error) {
    return fail(`--against ${file}: ${errorCode(error)}`, EXIT.failed);
  }
}
