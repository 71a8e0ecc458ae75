/** The output of `npm run sim`, for people and for programs. */

import { execFile } from 'node:child_process';
import { cpSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { testDir } from '../test-dir.ts';
import { MUTANTS } from './mutants.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

function sim(folder: string, ...args: string[]): Promise<{ code: number; lines: string[] }> {
  return new Promise((resolve) => {
    const child = execFile(process.execPath, [join(folder, 'test/sim/main.ts'), ...args], (_, stdout) =>
      resolve({ code: child.exitCode ?? -1, lines: stdout.trim().split('\n') }),
    );
  });
}

/** A copy of the tree in which a rule is broken that fails the first world. */
function broken(t: Test): string {
  const folder = testDir(t);
  for (const part of ['agent', 'router', 'shared', 'test/script.ts', 'test/sim', 'package.json'])
    cpSync(join(ROOT, part), join(folder, part), { recursive: true });
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  const mutant = MUTANTS.find(({ what }) => what.startsWith('the device gets its PUBACK'));
  if (!mutant) throw new Error('there is no such mutant');
  const file = join(folder, mutant.file);
  writeFileSync(file, readFileSync(file, 'utf8').replace(mutant.from, mutant.to));
  return folder;
}

t.test('the JSON line names the first seed, and each failing one with what replays it', async (t) => {
  const folder = broken(t);
  for (const mode of [[], ['--first']]) {
    const { code, lines } = await sim(folder, '--days', '0.02', '--seed', '7', '--json', ...mode);
    t.equal(code, 1);
    t.equal(lines.length, 1);
    t.match(JSON.parse(lines[0] ?? ''), {
      firstSeed: 7,
      violations: 1,
      failures: [
        { seed: 7, replay: /^npm run sim -- --seed 7 --seeds 1 --days /, violations: [{ invariant: 'I1' }] },
      ],
    });
  }
  const { lines } = await sim(folder, '--days', '0.02', '--seed', '7');
  const replay = lines.find((line) => line.includes('shrunk to: npm run sim -- '))?.split('sim -- ')[1] ?? '';
  const again = await sim(folder, ...replay.split(' '), '--json');
  t.match(JSON.parse(again.lines[0] ?? ''), { violations: 1 }, 'the command replays it');
});

t.test('a seed that was drawn is named when all is well', async (t) => {
  const { code, lines } = await sim(ROOT, '--days', '0.01', '--json');
  t.equal(code, 0);
  t.match(JSON.parse(lines.at(-1) ?? ''), { firstSeed: Number, violations: 0, failures: [] });
});
