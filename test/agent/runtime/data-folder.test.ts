/** Mistakes of data_dir that end the command, and faults that are left to the store. */
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { dataFolderMistake } from '../../../agent/runtime/data-folder.ts';
import { folderWith, headgate } from '../../cli/run.ts';
import { testDir } from '../../test-dir.ts';

const NOBODY_UID = 65_534;
const MODULE = new URL('../../../agent/runtime/data-folder.ts', import.meta.url).href;

t.test('the folder is there, or is made; those above it are not', async (t) => {
  const dir = testDir(t, { there: {} });
  t.equal(await dataFolderMistake(join(dir, 'there')), null);
  t.equal(await dataFolderMistake(join(dir, 'new')), null);
  t.equal(statSync(join(dir, 'new')).mode & 0o777, 0o750);
  const message = `${join(dir, 'mount')} does not exist`;
  t.match(await dataFolderMistake(join(dir, 'mount', 'data')), { message, hint: /mount the disk/ });
  t.notOk(existsSync(join(dir, 'mount')));
});

t.test('something else is in its place', async (t) => {
  const dir = testDir(t, { file: '' });
  const mistake = { message: /is not a directory/ };
  t.match(await dataFolderMistake(join(dir, 'file')), mistake);
  t.match(await dataFolderMistake(join(dir, 'file', 'data')), mistake);
});

t.test('permission denied', async (t) => {
  // Outside of the checkout, which may lie in a folder that is closed to others.
  const dir = folderWith(t, {});
  chmodSync(dir, 0o755);
  for (const name of ['closed', 'open']) mkdirSync(join(dir, name));
  writeFileSync(join(dir, 'open', 'buffer.db'), '');
  chmodSync(join(dir, 'closed'), 0o500);
  chmodSync(join(dir, 'open', 'buffer.db'), 0o400);
  chmodSync(join(dir, 'open'), 0o777);
  // A process of its own, as a user whom permissions bind: this one may be root's.
  const said = (folder: string) => {
    const program = `const { dataFolderMistake } = await import(${JSON.stringify(MODULE)});
      if (process.getuid() === 0) process.setuid(${NOBODY_UID});
      console.log(JSON.stringify(await dataFolderMistake(${JSON.stringify(join(dir, folder))})))`;
    // Without what tap adds to NODE_OPTIONS, which writes into folders of its own.
    const command = ['-u', 'NODE_OPTIONS', process.execPath, '--input-type=module', '-e', program];
    return JSON.parse(execFileSync('env', command).toString());
  };
  const denied = (file: string) => ({ message: `permission denied: ${join(dir, file)}`, hint: /chown/ });
  t.match(said('closed'), denied('closed'));
  t.match(said('closed/new'), denied('closed/new'));
  t.match(said('open'), denied('open/buffer.db'));
});

t.test('a link that leads nowhere may lead to a disk that comes back', async (t) => {
  const dir = testDir(t, {});
  symlinkSync(join(dir, 'disk', 'data'), join(dir, 'link'));
  t.equal(await dataFolderMistake(join(dir, 'link')), null);
});

t.test('the command ends with 78 and says what to do', async (t) => {
  const dir = testDir(t, {});
  const file = join(dir, 'agent.yaml');
  writeFileSync(
    file,
    `gateway: gw-1\ndata_dir: ${join(dir, 'mount', 'data')}\nproviders: [{ name: a, type: gcp, project: p }]\n`,
  );
  const { code, stderr } = await headgate(['agent', '--config', file]);
  t.equal(code, 78);
  t.match(stderr, /data_dir\n.*mount does not exist/);
  t.match(stderr, /create it, or mount the disk/);
  mkdirSync(join(dir, 'mount'));
  writeFileSync(join(dir, 'mount', 'data'), '');
  t.match(await headgate(['agent', '--config', file]), { code: 78, stderr: /is not a directory/ });
});
