/**
 * Somebody who owns the machine takes an entry of the audit log back: `headgate audit verify` has to say so,
 * by itself, or beside a copy that left the machine before.
 */
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { digest } from '../../../shared/audit/audit-log.ts';
import { chained, type Entry } from '../../../shared/audit/core/entry.ts';
import { EXIT } from '../../../shared/exit-codes.ts';
import { headgate } from '../../cli/run.ts';
import { type Attack, count, group } from '../attack.ts';

const DEVICES = ['pump-1', 'pump-2', 'pump-3'];
/** The entry that the attacker wants gone, by its number from 0: what made pump-2. */
const WANTED = 2;

interface Files {
  lines: string[];
  head: string;
}

/** A log that real commands wrote, and a copy of it from before the attack. */
class AuditTrail {
  readonly #dir: string;
  readonly #copy: string;

  private constructor(dir: string, copy: string) {
    this.#dir = dir;
    this.#copy = copy;
  }

  static async make(): Promise<AuditTrail> {
    const dir = mkdtempSync(join(tmpdir(), 'headgate-attack-'));
    const log = join(dir, 'log');
    mkdirSync(log, { mode: 0o700 });
    for (const name of DEVICES) await done(['device', 'add', name, '--data-dir', log]);
    const copy = join(dir, 'copy.ndjson');
    writeFileSync(copy, await done(['audit', 'export', '--data-dir', log]));
    await done(['audit', 'verify', '--against', copy, '--data-dir', log]);
    const trail = new AuditTrail(dir, copy);
    if (!(await trail.isBelieved((files) => files, true)))
      throw new Error('an unchanged copy is not believed');
    return trail;
  }

  /** Whether verify finds nothing wrong after `change`. `isCompared`: with the copy. */
  async isBelieved(change: (files: Files) => Files, isCompared: boolean): Promise<boolean> {
    const attacked = mkdtempSync(join(this.#dir, 'attacked-'));
    cpSync(join(this.#dir, 'log'), attacked, { recursive: true });
    const audit = join(attacked, 'audit');
    const [segment, ...more] = readdirSync(audit).filter((name) => name.endsWith('.ndjson'));
    if (segment === undefined || more.length > 0) throw new Error('the log is not in one file');
    const [segmentFile, headFile] = [join(audit, segment), join(audit, 'head.json')];
    const lines = readFileSync(segmentFile, 'utf8').trimEnd().split('\n');
    const after = change({ lines, head: readFileSync(headFile, 'utf8') });
    writeFileSync(segmentFile, after.lines.map((line) => `${line}\n`).join(''));
    writeFileSync(headFile, after.head);
    const against = isCompared ? ['--against', this.#copy] : [];
    const { code, stderr } = await headgate(['audit', 'verify', ...against, '--data-dir', attacked]);
    if (code !== 0 && code !== EXIT.failed) throw new Error(`audit verify: ${stderr}`);
    return code === 0;
  }

  ended(): null {
    return null;
  }

  async stop(): Promise<void> {
    rmSync(this.#dir, { recursive: true, force: true });
  }
}

async function done(args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await headgate(args);
  if (code !== 0) throw new Error(`headgate ${args.join(' ')}: ${stderr}`);
  return stdout;
}

const innocent = (line: string): string => line.replaceAll('pump-2', 'pump-9');

function entryOf(line: string): Entry {
  const { hash: _, ...entry }: Entry & { hash: string } = JSON.parse(line);
  return entry;
}

/** With right hashes, each one's own and that of the line before, from a line on. */
function hashed(lines: readonly string[], from: number): string[] {
  const made = lines.slice(0, from);
  for (const line of lines.slice(from)) {
    const { hash: prev }: { hash: string } = JSON.parse(made.at(-1) ?? '');
    made.push(chained({ ...entryOf(line), prev }, digest).line);
  }
  return made;
}

function headOf(lines: readonly string[]): string {
  const { log, seq, hash } = JSON.parse(lines.at(-1) ?? '');
  return JSON.stringify({ log, seq, hash });
}

interface Change {
  /** The changed entry alone is not found where all that follow are written anew: a copy finds it. */
  isCompared?: boolean;
  make(files: Files): Files;
}

const CHANGES: Readonly<Record<string, Change>> = {
  'line-changed': {
    make: ({ lines, head }) => ({ lines: lines.with(WANTED, innocent(lines[WANTED] ?? '')), head }),
  },
  'line-rehashed': {
    make({ lines, head }) {
      const entry = entryOf(lines[WANTED] ?? '');
      const forged = chained({ ...entry, target: 'pump-9' }, digest).line;
      return { lines: lines.with(WANTED, forged), head };
    },
  },
  'line-removed': { make: ({ lines, head }) => ({ lines: lines.toSpliced(WANTED, 2), head }) },
  'cut-off': { make: ({ lines, head }) => ({ lines: lines.slice(0, WANTED), head }) },
  'cut-off-with-head': {
    isCompared: true,
    make({ lines }) {
      const left = lines.slice(0, WANTED);
      return { lines: left, head: headOf(left) };
    },
  },
  'written-anew': {
    isCompared: true,
    make({ lines }) {
      const anew = hashed(lines.map(innocent), WANTED);
      return { lines: anew, head: headOf(anew) };
    },
  },
};

const changes = Object.entries(CHANGES).map(
  ([name, { isCompared = false, make }]): Attack<AuditTrail> => ({
    name: `audit/${name}`,
    by: ['card thief', 'gateway'],
    async run(trail) {
      const isBelieved = await trail.isBelieved(make, isCompared);
      return count(
        Number(isBelieved),
        `of 1 change not found${isCompared ? ' beside a copy that left before' : ''}`,
      );
    },
  }),
);

export const audit = group<AuditTrail>({ open: () => AuditTrail.make(), attacks: changes });
