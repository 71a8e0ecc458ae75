import { join } from 'node:path';
import t from 'tap';
import { connectionsByOpenFiles } from '../../../../agent/broker/listeners/open-files.ts';
import { testDir } from '../../../test-dir.ts';

t.test('connections leave file descriptors for the rest of the agent', async (t) => {
  const dir = testDir(t, {
    limits:
      'Limit                     Soft Limit           Hard Limit           Units     \nMax open files            1024                 524288               files     \n',
    none: 'Max open files            unlimited            unlimited            files\n',
    few: 'Max open files            64                   64                   files\n',
  });
  t.equal(connectionsByOpenFiles(join(dir, 'limits')), 1024 - 128);
  t.equal(connectionsByOpenFiles(join(dir, 'none')), null);
  t.equal(connectionsByOpenFiles(join(dir, 'few')), 1, 'the admin API still tells why');
  t.equal(connectionsByOpenFiles(join(dir, 'absent')), null);
});
