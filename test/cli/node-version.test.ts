import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import t from 'tap';
import { headgate } from './run.ts';

/** Makes a process believe that it is another Node.js, before the first line of bin/headgate.js. */
function pretend(version: string, typescript: string): string[] {
  const code = `
    Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '${version}' } });
    Object.defineProperty(process.features, 'typescript', { value: ${typescript} });`;
  return ['--import', `data:text/javascript,${encodeURIComponent(code)}`];
}

const TOO_OLD = /^headgate: needs Node\.js >= 22\.15, this is [\d.]+ \(.+\): run `npx headgate …`, or .+\n$/;

t.test('a Node.js that is too old gets one line and 78, before anything is loaded', async (t) => {
  for (const version of ['18.20.8', '20.20.2', '21.7.3', '22.14.9']) {
    const ran = await headgate(['--version'], { nodeArgs: pretend(version, 'false') });
    t.match(ran, { code: 78, stdout: '', stderr: TOO_OLD }, version);
  }
  for (const version of ['22.18.0', '24.0.0', '100.0.0']) {
    t.match(await headgate(['--version'], { nodeArgs: pretend(version, "'strip'") }), { code: 0 }, version);
  }
});

t.test('one that cannot run the sources says so', async (t) => {
  const ran = await headgate(['--version'], { nodeArgs: pretend('22.15.0', 'false') });
  t.match(ran, {
    code: 78,
    stdout: '',
    stderr: /^headgate: run from its sources it needs Node\.js >= 22\.18/,
  });
});

const old = oldNode();
t.test(
  'a real old Node.js says the same',
  { skip: old === null ? 'no old node on PATH' : false },
  async (t) => {
    t.match(await headgate(['--version'], { node: old ?? '' }), { code: 78, stdout: '', stderr: TOO_OLD });
  },
);

function oldNode(): string | null {
  const paths = (process.env['PATH'] ?? '').split(delimiter).map((dir) => join(dir, 'node'));
  for (const path of new Set(paths.filter(existsSync))) {
    const [major = 0, minor = 0] = execFileSync(path, ['-p', 'process.versions.node'], { encoding: 'utf8' })
      .split('.')
      .map(Number);
    if (major >= 14 && (major < 22 || (major === 22 && minor < 15))) return path;
  }
  return null;
}
