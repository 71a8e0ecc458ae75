/**
 * Each tidy rule is shown what it must refuse, beside what it must not: a rule that never fails proves
 * nothing.
 */
import t from 'tap';
import { codeBans, commentBeginnings, commentWidths, sizes, textBans } from './bans.ts';
import { boundaries } from './boundaries.ts';
import { circles } from './circles.ts';
import { unreachableFiles, unusedExports, unusedMembers } from './dead-code.ts';
import { found } from './found.ts';
import { invariants } from './invariants.ts';
import { lightThreads } from './light-threads.ts';
import { packages } from './packages.ts';
import { parseModules } from './parse.ts';
import { purity } from './purity.ts';
import { folderRoots } from './roots.ts';

t.test('imports and exports are read whatever their form', async (t) => {
  const [module] = parseModules(
    new Map([
      [
        'agent/a.ts',
        `import whole, { b as c, type D } from './b.ts';
import type * as all from './all.ts';
import './effect.ts';
export { e as f } from './e.ts';
export * from './star.ts';
export const g = 1, { h, i: [j] } = k;
export default class {}
export interface L extends M { n: O }
export async function p(q: Q): Promise<void> {
  const { r, s: u } = await import('./lazy.ts');
  import('./then.ts').then(({ v }) => v);
  return (await import('./kept.ts')).w as import('./type.ts').X;
}
type Y = { 'import z from "./string.ts"': string }; // import y from './comment.ts'
new Worker(new URL('./worker.ts', import.meta.url));`,
      ],
    ]),
  );
  t.strictSame(
    module?.imports.map(({ specifier, names, line }) => [specifier, names, line]),
    [
      ['./b.ts', ['default', 'b', 'D'], 1],
      ['./all.ts', 'all', 2],
      ['./effect.ts', [], 3],
      ['./e.ts', ['e'], 4],
      ['./star.ts', 'all', 5],
      ['./lazy.ts', ['r', 's'], 10],
      ['./then.ts', ['v'], 11],
      ['./kept.ts', 'all', 12],
      ['./type.ts', ['X'], 12],
    ],
  );
  t.strictSame(
    module?.exports.map(({ name, isType, line }) => [name, isType, line]),
    [
      ['f', false, 4],
      ['g', false, 6],
      ['h', false, 6],
      ['j', false, 6],
      ['default', false, 7],
      ['L', true, 8],
      ['p', false, 9],
    ],
  );
  t.strictSame([...(module?.exports.find(({ name }) => name === 'L')?.mentions ?? [])], ['M', 'O']);
  t.ok(module?.paths.includes('./worker.ts'));
});

t.test('boundaries', async (t) => {
  const refused = [
    ['agent/a.ts', '../router/b.ts'],
    ['router/a.ts', '../agent/b.ts'],
    ['shared/a.ts', '../agent/b.ts'],
    ['loopback/x/a.ts', '../../agent/b.ts'],
    ['agent/a.ts', '../test/b.ts'],
    ['cli/a.ts', '../bench/b.ts'],
    ['demo/a.ts', '../agent/b.ts'],
    ['demo/a.ts', '../loopback/main.ts'],
    ['bench/a.ts', '../test/b.ts'],
    ['test/a.ts', '../bench/b.ts'],
    ['agent/routing/core/a.ts', '../../forward/b.ts'],
    ['agent/store/a.ts', '../routing/core.ts'],
  ] as const;
  for (const [path, target] of refused) {
    t.strictSame(
      found(boundaries, { [path]: `// 1\nimport type { B } from '${target}';` }),
      [`${path}:2`],
      `${path} → ${target}`,
    );
  }
  t.strictSame(
    found(boundaries, {
      'agent/a.ts': `import '../shared/b.ts';\nimport 'node:fs';\nimport './routing/core.ts';`,
      'agent/routing/core/a.ts': `import '../../providers/publisher.ts';\nimport './b.ts';`,
      'demo/a.ts': `import '../router/ledger/sqlite.ts';\nimport '../loopback/faults.ts';`,
      'cli/a.ts': `const b = await import('../agent/b.ts');`,
      'test/a.ts': `import '../agent/b.ts';\nimport './helpers.ts';`,
    }),
    [],
  );
  t.strictSame(
    found(boundaries, { 'agent/a.ts': `const b = await import('../router/b.ts');` }),
    ['agent/a.ts:1'],
    'a lazy import is one too',
  );
});

t.test('circles', async (t) => {
  const at = (files: Record<string, string>): string[] => found(circles, files);
  t.strictSame(
    at({
      'agent/a.ts': `import './b.ts';`,
      'agent/b.ts': `import './c.ts';\nimport './d.ts';`,
      'agent/c.ts': `// a type is enough\nimport type { A } from './a.ts';`,
      'agent/d.ts': '',
    }),
    ['agent/a.ts:1'],
    'files, each ring once',
  );
  t.strictSame(at({ 'test/a.ts': `const b = await import('./b.ts');`, 'test/b.ts': `import './a.ts';` }), [
    'test/a.ts:1',
  ]);
  const rooms = {
    'agent/agent.ts': `import './store/a.ts';\nimport './broker/a.ts';`,
    'agent/store/a.ts': `import '../broker/b.ts';`,
    'agent/store/b.ts': '',
    'agent/broker/a.ts': `import type { B } from '../store/b.ts';`,
    'agent/broker/b.ts': '',
  };
  t.strictSame(at(rooms), ['agent/store/a.ts:1'], 'rooms, though no file is on a ring');
  t.strictSame(
    at({
      'agent/store/store.ts': `import './file/a.ts';`,
      'agent/store/file/a.ts': `import '../limits.ts';`,
      'agent/store/limits.ts': `import './file/b.ts';`,
      'agent/store/file/b.ts': '',
    }),
    ['agent/store/file/a.ts:1'],
    'a room and a file beside it',
  );
  t.strictSame(
    at({
      'agent/agent.ts': `import './store/a.ts';\nimport './broker/a.ts';`,
      'agent/store/a.ts': `import './b.ts';\nimport '../../shared/clock.ts';`,
      'agent/store/b.ts': '',
      'agent/broker/a.ts': `import '../store/a.ts';`,
      'shared/clock.ts': '',
    }),
    [],
  );
});

t.test('purity', async (t) => {
  for (const path of ['agent/routing/core/a.ts', 'agent/policy/core/x/a.ts', 'router/ledger/rules/a.ts']) {
    t.strictSame(found(purity, { [path]: `// 1\nimport 'node:fs';\nimport 'pg';` }), [
      `${path}:2`,
      `${path}:3`,
    ]);
  }
  t.strictSame(found(purity, { 'shared/interval-set.ts': `import 'pg';` }), ['shared/interval-set.ts:1']);
  const driven = {
    'agent/routing/core/a.ts': `import './b.ts';\nimport { read } from '../file.ts';`,
    'agent/routing/core/b.ts': `import type { C } from '../file.ts';\nimport 'zod';`,
    'agent/routing/file.ts': `import '../disk.ts';`,
    'agent/disk.ts': `import 'node:fs';`,
  };
  t.strictSame(found(purity, driven), ['agent/routing/core/a.ts:2'], 'what it runs is pure too');
  t.strictSame(
    found(purity, { 'agent/routing/a.ts': `import 'node:fs';`, 'agent/core.ts': `import 'pg';` }),
    [],
  );
});

t.test('light threads', async (t) => {
  const thread = 'agent/store/thread/worker.ts';
  const files = {
    [thread]: `import type { A } from 'zod';\nimport 'better-sqlite3';\nimport '../b.ts';\nimport 'node:fs';`,
    'agent/store/b.ts': `// 1\nimport { pino } from 'pino';`,
    'agent/store/c.ts': `import 'pg';`,
  };
  t.strictSame(found(lightThreads, files), ['agent/store/b.ts:2'], 'by way of others too');
  t.strictSame(found(lightThreads, { ...files, [thread]: `import 'zod';` }), [`${thread}:1`]);
});

t.test('folder roots', async (t) => {
  t.strictSame(
    found(folderRoots, { 'agent/agent.ts': '', 'agent/stray.ts': '', 'agent/store/stray.ts': '' }),
    ['agent/stray.ts:1'],
  );
  t.strictSame(found(folderRoots, { 'notes.txt': '', 'README.md': '', 'docs/notes.txt': '' }), [
    'notes.txt:1',
  ]);
});

t.test('bans in code', async (t) => {
  for (const bad of [
    'const a = Math.random();',
    'const a = b as any;',
    'const a = b!.c;',
    'const a = b![0];',
    'try { a(); } catch {}',
    'try { a(); } catch (error) {\n}',
    'class SessionManager {}',
    "console.log('a');",
    't.testdir();',
  ]) {
    t.strictSame(found(codeBans, { 'agent/a.ts': bad }), ['agent/a.ts:1'], bad);
  }
  for (const good of [
    "const a = 'Math.random() as any b!.c'; // Math.random()",
    'const a = b !== c && !d.e;',
    'try { a(); } catch {\n  // It is gone already.\n}',
    'const a = b as const;',
    'class Manage {}',
  ]) {
    t.strictSame(found(codeBans, { 'agent/a.ts': good }), [], good);
  }
  t.strictSame(found(codeBans, { 'shared/entropy.ts': 'export const a = Math.random();' }), []);
  t.strictSame(found(codeBans, { 'bench/a.ts': "console.log('a');" }), []);
});

t.test('bans in text', async (t) => {
  const at = (text: string, file = 'docs/a.md'): string[] =>
    found((tree) => textBans(tree, '/build/headgate'), { [file]: `first\n${text}` });
  for (const bad of [
    `// TO${'DO'}: later`,
    `FIX${'ME'}`,
    `see /ho${'me'}/ann/notes`,
    `ExecStart=/ro${'ot'}/run`,
    `"/Use${'rs'}/ann"`,
    `${'https'}://registry.npm${'js'}.org/zod`,
    `https://artifactory.exam${'ple'}.com/`,
    '/build/headgate/agent',
    '/build/notes',
  ]) {
    t.strictSame(at(bad), ['docs/a.md:2'], bad);
  }
  for (const good of [
    'todo lists',
    '/var/lib/headgate',
    'GET /v1/home',
    '~/home/',
    'ProtectHome=yes',
    '/builder',
  ]) {
    t.strictSame(at(good), [], good);
  }
  const silenced = `// @ts-${'ignore'}`;
  t.strictSame(at(silenced, 'agent/a.ts'), ['agent/a.ts:2']);
  t.strictSame(at(silenced), [], 'a document may speak of it');
});

t.test('sizes', async (t) => {
  const lines = (count: number): string => 'a();\n'.repeat(count);
  t.strictSame(found(sizes, { 'agent/a.ts': lines(401) }), ['agent/a.ts:401']);
  t.strictSame(found(sizes, { 'agent/a.ts': lines(400), 'docs/a.md': lines(401) }), []);
});

t.test('comment widths', async (t) => {
  const x = 'x'.repeat(107);
  t.strictSame(found(commentWidths, { 'agent/a.ts': `// ${x}\n// ${x}x\n * ${x}x\n/** ${x} */` }), [
    'agent/a.ts:2',
    'agent/a.ts:3',
    'agent/a.ts:4',
  ]);
  t.strictSame(found(commentWidths, { 'agent/a.ts': `// https://${x}\nconst a = '${x}';` }), []);
});

t.test('comment beginnings', async (t) => {
  const wrong = ['/** What it does. */', ' * Who signed.', '  // Whoever listens.'].join('\n');
  t.strictSame(
    found(commentBeginnings, { 'agent/a.ts': wrong }),
    [1, 2, 3].map((n) => `agent/a.ts:${n}`),
  );
  const right = "/** The work. */\n// Whole days.\nconst a = 'What is it?'; // Says what it does.";
  t.strictSame(found(commentBeginnings, { 'agent/a.ts': right }), []);
});

t.test('unused exports', async (t) => {
  const files = {
    'agent/main.ts': `import { used, type Used } from './a.ts';\nimport * as all from './all.ts';`,
    'agent/a.ts': `export const used = 1;
export function unused() {}
export type Used = Part;
export interface Part { deeper: Deeper }
export interface Deeper {}
export interface Alone { self: Alone }
export const tested = 1;
export { used as renamed };`,
    'agent/all.ts': 'export const a = 1;\nexport const b = 2;',
    'agent/worker.ts': 'export const c = 1;',
    'agent/thread.ts': `new Worker(new URL('worker.ts', import.meta.url));`,
    'test/a.test.ts': `import { tested } from '../agent/a.ts';`,
  };
  t.strictSame(found(unusedExports, files), ['agent/a.ts:8', 'agent/a.ts:2', 'agent/a.ts:6', 'agent/a.ts:7']);
});

t.test('unused members', async (t) => {
  const files = {
    'agent/a.ts': `export class A {
  #own() {}
  called() {}
  taken = 1;
  get forgotten() { return 1; }
  tested() {}
}`,
    'agent/b.ts': 'a.called();\nconst { taken } = a;',
    'test/a.test.ts': 'a.tested();',
    'loopback/c.ts': 'class C { steered() {} }',
  };
  t.strictSame(found(unusedMembers, files), ['agent/a.ts:5', 'agent/a.ts:6']);
});

t.test('unreachable files', async (t) => {
  const files = {
    'bin/headgate.js': `import(new URL('../cli/main.ts', import.meta.url).href);`,
    'cli/main.ts': `const { run } = await import('../agent/agent.ts');`,
    'cli/tool.ts': '',
    'agent/agent.ts': `import type { A } from './types.ts';\nconst entry = built ? 'worker.js' : 'worker.ts';`,
    'agent/types.ts': '',
    'agent/worker.ts': '',
    'agent/lost.ts': `import './lost-too.ts';`,
    'agent/lost-too.ts': '',
    'test/a.test.ts': `import '../agent/lost.ts';`,
    'package.json': JSON.stringify({ scripts: { tool: 'node cli/tool.ts' } }),
  };
  t.strictSame(found(unreachableFiles, files), ['agent/lost.ts:1', 'agent/lost-too.ts:1']);
});

t.test('packages', async (t) => {
  const manifest = {
    dependencies: { zod: '1', '@scope/used': '1', idle: '1', tested: '1' },
    devDependencies: { tap: '1', '@types/node': '1', '@types/zod': '1', '@types/gone': '1', stale: '1' },
  };
  const files = {
    'package.json': JSON.stringify(manifest, null, 2),
    'agent/a.ts': `import 'zod/mini';
import { b } from '@scope/used/deep';
import 'node:fs';
import 'missing';
import 'tap';`,
    'test/a.test.ts': `import 'tap';\nimport 'tested';\nimport 'missing-too';`,
  };
  t.strictSame(found(packages, files), [
    'agent/a.ts:4',
    'agent/a.ts:5',
    'test/a.test.ts:3',
    'package.json:5',
    'package.json:6',
    'package.json:12',
    'package.json:13',
  ]);
});

t.test('invariants', async (t) => {
  const files = {
    'agent/a.ts':
      '// proved (I3)\n// not proved (I4)\n// again (I4)\n// no such (I12)\n// (I5, I6 holds there)',
    'test/a.test.ts': "t.test('frees nothing too early (I3)', () => {}); // I5",
  };
  t.strictSame(found(invariants, files), ['agent/a.ts:2', 'agent/a.ts:4', 'agent/a.ts:5']);
});
