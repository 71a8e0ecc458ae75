/** A process without file descriptors left: the store's look at its own figures does not close the buffer. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import t from 'tap';
import { testDir } from '../../test-dir.ts';
import { bufferFile } from './fixture.ts';

const SCRIPT = fileURLToPath(new URL('./without-descriptors.ts', import.meta.url));

t.test('no file descriptor is left: records are taken', async (t) => {
  const command = 'ulimit -n 120 && exec "$0" "$1" "$2"';
  const run = ['-c', command, process.execPath, SCRIPT, bufferFile(testDir(t))];
  const { stdout } = await promisify(execFile)('sh', run);
  t.strictSame(JSON.parse(stdout.trim().split('\n').at(-1) ?? '{}'), {
    code: 'EMFILE',
    states: ['ok'],
    seq: 1,
  });
});
