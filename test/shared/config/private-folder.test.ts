import { chmodSync, lstatSync, mkdirSync, statSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { closeDataFolder } from '../../../shared/config/private-folder.ts';
import { testDir } from '../../test-dir.ts';

const modeOf = (path: string): number => statSync(path).mode & 0o7777;

function setUp(t: Test): { folder: string; outside: string; lines: object[]; close(): Promise<void> } {
  const dir = testDir(t, { data: { 'buffer.db': '', 'devices.json': '' }, outside: '' });
  const [folder, outside] = [join(dir, 'data'), join(dir, 'outside')];
  for (const [path, mode] of [
    [folder, 0o777],
    [join(folder, 'buffer.db'), 0o664],
    [join(folder, 'devices.json'), 0o600],
    [outside, 0o666],
  ] as const)
    chmodSync(path, mode);
  const lines: object[] = [];
  const log = { warn: (line: object) => void lines.push(line) };
  return { folder, outside, lines, close: () => closeDataFolder(folder, log) };
}

t.test('an open folder and its files are closed, with one line; a link is not followed', async (t) => {
  const { folder, outside, lines, close } = setUp(t);
  symlinkSync(outside, join(folder, 'link'));
  mkdirSync(join(folder, 'history'));
  chmodSync(join(folder, 'history'), 0o755);
  await close();
  t.equal(modeOf(folder), 0o750);
  t.equal(modeOf(join(folder, 'buffer.db')), 0o640);
  t.equal(modeOf(join(folder, 'devices.json')), 0o600);
  t.equal(modeOf(join(folder, 'history')), 0o750);
  t.equal(modeOf(outside), 0o666);
  t.ok(lstatSync(join(folder, 'link')).isSymbolicLink());
  t.match(lines, [{ event: 'data_dir.mended', folder, mode: '777', files: 2 }]);
  await close();
  t.equal(lines.length, 1, 'closed already');
});

t.test('a missing folder is left to the part that makes it', async (t) => {
  const lines: object[] = [];
  await closeDataFolder(join(testDir(t, {}), 'none'), { warn: (line: object) => void lines.push(line) });
  t.same(lines, []);
});

t.test('a folder that all users share is refused, and one with other things alone is left', async (t) => {
  const { folder, lines, close } = setUp(t);
  chmodSync(folder, 0o1777);
  await t.rejects(close(), { message: /^data_dir: all users of this machine share .*; name a folder in it/ });
  t.equal(modeOf(folder), 0o1777);
  const foreign = testDir(t, { other: { hostname: '' } });
  chmodSync(join(foreign, 'other'), 0o755);
  await closeDataFolder(join(foreign, 'other'), { warn: (line: object) => void lines.push(line) });
  t.equal(modeOf(join(foreign, 'other')), 0o755);
  t.same(lines, []);
});
