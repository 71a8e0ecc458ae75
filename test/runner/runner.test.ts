/** The runner of the tests: what it counts, what it calls a failure, which files it takes. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import t from 'tap';
import { testDir } from '../test-dir.ts';
import { countAssertions, ROOT } from './run-file.ts';
import { isUnit, selectFiles } from './select.ts';

const RUN_FILES = JSON.stringify(new URL('./run-files.ts', import.meta.url).href);

/** Runs files of the given content, two at a time. */
function run(dir: string, files: readonly string[]): Promise<{ code: number | null; stdout: string }> {
  const paths = JSON.stringify(files.map((name) => join(dir, name)));
  const script = `import { runFiles } from ${RUN_FILES};
process.exitCode = (await runFiles(${paths}, { jobs: 2 })) ? 0 : 1;`;
  return new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      ['--input-type=module', '--eval', script],
      { cwd: ROOT },
      (_, stdout) => resolve({ code: child.exitCode, stdout }),
    );
  });
}

t.test('leaves are counted, at any depth', async (t) => {
  const output = `TAP version 14
# Subtest: a
    ok 1 - one
    not ok 2 - two
    # Subtest: deeper
        ok 1 - three
        1..1
    ok 3 - deeper # time=1.5ms
    1..3
not ok 1 - a # time=12ms
ok 2 - later # SKIP why
ok 3 - four
1..3
`;
  t.strictSame(countAssertions(output), { passed: 3, failed: 1, skipped: 1 });
});

t.test('a failure is told at the end, and the rest runs on', async (t) => {
  const tap = JSON.stringify(import.meta.resolve('tap'));
  const dir = testDir(t, {
    'good.mjs': `import t from ${tap};\nt.test('a', async (t) => { t.ok(true); t.ok(true); });`,
    'bad.mjs': `import t from ${tap};\nt.test('a', async (t) => { t.equal(1, 2, 'the odd one'); });`,
    'broken.mjs': `import t from ${tap};\nthrow new Error('it cannot be loaded');`,
    'empty.mjs': '',
    'skipped.mjs': `import t from ${tap};\nt.ok(true);\nt.test('b', { skip: true }, () => {});`,
    'killed.mjs': `import t from ${tap};\nt.ok(true);\nprocess.kill(process.pid, 'SIGKILL');`,
  });
  const good = await run(dir, ['good.mjs', 'good.mjs']);
  t.match(good, {
    code: 0,
    stdout: /\n# 2 files, 0 failed; \d+ s\n# \{ total: 4, pass: 4, fail: 0, skip: 0 \}\n$/,
  });

  const all = ['bad.mjs', 'broken.mjs', 'empty.mjs', 'skipped.mjs', 'killed.mjs', 'good.mjs'];
  const { code, stdout } = await run(dir, all);
  t.equal(code, 1);
  for (const told of [
    /\n# FAILED \S+\/bad\.mjs: 1 of 1 assertions failed\n +not ok 1 - the odd one\n/,
    /\n# FAILED \S+\/broken\.mjs: ended with 1\n[^#]*it cannot be loaded/,
    /\n# FAILED \S+\/empty\.mjs: nothing was asserted\n/,
    /\n# FAILED \S+\/skipped\.mjs: 1 skipped/,
    /\n# FAILED \S+\/killed\.mjs: ended by SIGKILL\n/,
    /\nok \d - \S+\/good\.mjs # 2 assertions, /,
    /\n# 6 files, 5 failed; \d+ s\n# \{ total: \d+, pass: \d+, fail: 1, skip: 1 \}\n$/,
  ]) {
    t.match(stdout, told);
  }
});

t.test('unit tests are those that reach no process, socket, database or SDK', async (t) => {
  const files: Record<string, string> = {
    'test/a.test.ts': `import { b } from '../agent/b.ts';\nimport type { Pool } from 'pg';`,
    'agent/b.ts': `import {\n  c,\n} from './c.ts';`,
    'agent/c.ts': `import { gzipSync } from 'node:zlib';`,
    'test/d.test.ts': `import { e } from '../agent/e.ts';`,
    'agent/e.ts': `export * from './f.ts';`,
    'agent/f.ts': `const { connect } = await import('mqtt');`,
  };
  const read = (path: string): string => files[path] ?? '';
  t.ok(isUnit('test/a.test.ts', read));
  t.notOk(isUnit('test/d.test.ts', read));
  for (const module of ['node:child_process', 'node:net', '@aws-sdk/client-sqs', 'better-sqlite3', 'aedes']) {
    t.notOk(
      isUnit('x', () => `import '${module}';`),
      module,
    );
  }
});

t.test('a command takes the files of its kind', async (t) => {
  const all = selectFiles('all', []);
  const unit = selectFiles('unit', []);
  t.ok(all.includes('test/runner/runner.test.ts'));
  t.ok(unit.includes('test/shared/interval-set.test.ts'));
  t.notOk(unit.includes('test/runner/runner.test.ts'));
  t.ok(unit.every((path) => all.includes(path)));
  t.strictSame(selectFiles('all', ['test/runner/']), ['test/runner/runner.test.ts']);
  t.strictSame(
    selectFiles('slow', []).filter((path) => !path.endsWith('.slow.ts')),
    [],
  );
});
