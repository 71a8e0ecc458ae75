/** Acknowledged records survive a power cut, and no id comes twice (I1, I2). Needs a C compiler. */

import { type ExecFileException, execFile } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { testDir } from '../test-dir.ts';
import { cutMany, type Totals } from './campaign.ts';
import { cutAll } from './cuts.ts';
import { compileRecorder, recordLife } from './record.ts';

const RUN = fileURLToPath(new URL('./run.ts', import.meta.url));
const CUTS = 200;

t.setTimeout(900_000);

interface Ended {
  exitCode: number;
  stdout: string;
  stderr: string;
}

function run(args: readonly string[], env: NodeJS.ProcessEnv = process.env): Promise<Ended> {
  return new Promise((resolve) => {
    execFile(process.execPath, [RUN, ...args], { env }, (error: ExecFileException | null, stdout, stderr) => {
      resolve({ exitCode: error ? Number(error.code) : 0, stdout, stderr });
    });
  });
}

t.test(`${CUTS} power cuts lose nothing that was acknowledged (I1, I2, I9)`, async (t) => {
  const { exitCode, stdout } = await run(['--cuts', `${CUTS}`, '--json']);
  const totals: Totals = JSON.parse(stdout.trim().split('\n').at(-1) ?? '');
  t.match(totals, { cuts: CUTS, lost: 0, unstartable: 0 }, stdout);
  t.ok(totals.acked > 20 * CUTS, `${totals.acked} acknowledged records looked for`);
  t.equal(exitCode, 0);
});

t.test('with synchronous=NORMAL the same cuts lose records: losses are found', async (t) => {
  const { cuts, acked, lost } = await cutMany({
    cuts: CUTS,
    seed: 1,
    synchronous: 'NORMAL',
    onCut: () => undefined,
  });
  t.equal(cuts, CUTS);
  t.ok(lost > CUTS, `${lost} of ${acked}`);
});

t.test('a cut that found something finds the same when it is repeated', async (t) => {
  const folder = testDir(t);
  const trace = join(folder, 'trace');
  const library = compileRecorder(folder);
  mkdirSync(join(folder, 'live'));
  const life = { seed: 1, firstNumber: 1, course: 'steady', synchronous: 'NORMAL' } as const;
  const entries = recordLife({ ...life, library, folder: join(folder, 'live'), trace });
  const seeds = Array.from({ length: 20 }, (_, i) => i);
  const found = [...cutAll(entries, seeds, join(folder, 'cut'))].find(
    ({ inspection }) => inspection.lost > 0,
  );
  if (!found) throw new Error('none found anything');
  const { exitCode, stdout } = await run(['--trace', trace, '--cut', `${found.seed}`, '--json']);
  const { acked, lost } = found.inspection;
  t.same(JSON.parse(stdout.trim().split('\n').at(-1) ?? ''), { cuts: 1, acked, lost, unstartable: 0 });
  t.match(stdout, found.inspection.problems.join('\n'));
  t.equal(exitCode, 1);
});

t.test('without a compiler it says how to get one', async (t) => {
  const { exitCode, stderr } = await run(['--cuts', '1'], { PATH: '' });
  t.match(stderr, 'there is no C compiler (cc): apt-get install gcc libc6-dev');
  t.equal(exitCode, 2);
});
