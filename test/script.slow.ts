/** The help of the scripts of package.json, and their refusal of unknown options. */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import t from 'tap';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const { scripts }: { scripts: Record<string, string> } = JSON.parse(
  readFileSync(`${ROOT}/package.json`, 'utf8'),
);

/** A word of each that says what it does, and one of its defaults. */
const EXPECTED = {
  sim: [/Seeded worlds/, /--days D +\S.*\(default: 2\)/],
  'sim:mutations': [/Breaks each of \d+ rules/, /--help +prints this/],
  crash: [/SIGKILL/, /--seed S +\S.*\(default: random; it is printed\)/],
  'crash:router': [/Replicas of the router/, /--records N +\S.*\(default: 200000\)/],
  powercut: [/Cuts the power/, /--cuts N +\S.*\(default: 1000\)/],
  fuzz: [/Hostile packets/, /--transport tcp\|tls\|ws +\S.*\(default: tcp\)/],
  'fuzz:ingest': [/Hostile envelopes/, /--envelopes N +\S.*\(default: 10000\)/],
  bench: [/^envelope +/m, /--json +\S/],
} as const;

interface Ended {
  code: number;
  stdout: string;
  stderr: string;
}

/** As `npm run <name> -- <args>` does, without npm. */
function run(name: string, ...args: string[]): Promise<Ended> {
  const command = (scripts[name] ?? '').replace(/^node /, '').split(' ');
  return new Promise((resolve) => {
    const child = execFile(process.execPath, [...command, ...args], { cwd: ROOT }, (_, stdout, stderr) =>
      resolve({ code: child.exitCode ?? -1, stdout, stderr }),
    );
  });
}

for (const [name, [does, option]] of Object.entries(EXPECTED)) {
  t.test(`npm run ${name}`, async (t) => {
    const [help, unknown] = await Promise.all([run(name, '--help'), run(name, '--no-such-option')]);
    t.match(help, { code: 0, stderr: '' });
    for (const part of [does, option, `npm run ${name} -- `, `for example: npm run ${name}`]) {
      t.match(help.stdout, part);
    }
    t.match(unknown, { code: 2, stdout: '', stderr: /'--no-such-option'/ }, 'names it, and runs nothing');
    t.match(unknown.stderr, option, 'says what there is');
  });
}

t.test('a value that is none, or a bench that is not there, is told', async (t) => {
  const [crash, bench, own] = await Promise.all([
    run('crash', '--cycles', '1e3'),
    run('bench', 'no-such-bench'),
    run('bench', 'drain', '--help'),
  ]);
  t.match(crash, { code: 2, stderr: /--cycles must be a whole number from 1 / });
  t.match(bench, { code: 2, stderr: /there is no bench "no-such-bench"/ });
  t.match(own, { code: 0, stdout: /--cloud aws\|azure\|gcp +\S.*\(default: aws\)/ });
});
