/**
 * `npm run sim:mutations`: breaks each rule of mutants.ts in a copy of the tree and runs worlds on it until
 * one fails. Exits 1 when a broken rule is not found, or a patch no longer applies. A simulation that finds
 * nothing proves nothing until this ran.
 */
import { spawn } from 'node:child_process';
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { readScript } from '../script.ts';
import { MUTANTS, type Mutant } from './mutants.ts';
import type { Violation } from './truth.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const COPIED = ['agent', 'router', 'shared', 'test/script.ts', 'test/sim', 'package.json'];
const THREADS = 2;
const SEEDS_MAX = 200;
/** The first seed is one that is run twice, see seeds.ts. */
const FIRST_SEED = 20;

/** The output of main.ts, as far as it is read. */
interface SimReport {
  seeds: number;
  failures: Array<{ violations: Violation[] }>;
}

interface Verdict {
  seeds: number;
  first: string;
}

async function mutated(mutant: Mutant): Promise<Verdict | null> {
  const folder = await mkdtemp(join(tmpdir(), 'headgate-mutant-'));
  try {
    for (const part of COPIED) await cp(join(ROOT, part), join(folder, part), { recursive: true });
    await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
    const file = join(folder, mutant.file);
    const source = await readFile(file, 'utf8');
    const parts = source.split(mutant.from);
    if (parts.length !== 2) throw new Error(`${mutant.file}: the patch does not apply (${mutant.what})`);
    await writeFile(file, parts.join(mutant.to));
    return await worlds(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Null: no world failed. */
async function worlds(folder: string): Promise<Verdict | null> {
  const numbers = ['--seeds', String(SEEDS_MAX), '--days', '2', '--seed', String(FIRST_SEED)];
  const child = spawn(
    process.execPath,
    [join(folder, 'test/sim/main.ts'), ...numbers, '--threads', '1', '--first', '--json'],
    { cwd: folder, stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const { seeds, failures }: SimReport = JSON.parse(await text(child.stdout));
  const violation = failures[0]?.violations[0];
  return violation ? { seeds, first: `${violation.invariant}: ${violation.what}` } : null;
}

readScript(
  {
    command: 'npm run sim:mutations',
    does: `Breaks each of ${MUTANTS.length} rules in a copy of the tree, and runs up to ${SEEDS_MAX} worlds on it until one fails. Fails when a broken rule is not found.`,
    options: {},
    example: '',
  },
  () => undefined,
);
const pending = [...MUTANTS];
let missed = 0;
await Promise.all(
  Array.from({ length: THREADS }, async () => {
    for (let mutant = pending.shift(); mutant; mutant = pending.shift()) {
      const verdict = await mutated(mutant);
      const found = verdict ? `found after ${verdict.seeds}: ${verdict.first}` : 'NOT FOUND';
      console.log(`${mutant.breaks} ${mutant.what}: ${found}`);
      if (!verdict) missed += 1;
    }
  }),
);
console.log(JSON.stringify({ mutants: MUTANTS.length, missed }));
process.exitCode = missed > 0 ? 1 : 0;
