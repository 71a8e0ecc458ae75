import { once } from 'node:events';
import { createServer } from 'node:net';
import t from 'tap';
import { listening, reading } from '../../../shared/config/start-check.ts';

t.test('an address in use names the option and a way out', async (t) => {
  const other = createServer().listen(0, '127.0.0.1');
  t.teardown(() => void other.close());
  await once(other, 'listening');
  const taken = other.address();
  const port = typeof taken === 'object' && taken !== null ? taken.port : 0;
  const second = createServer();
  const listen = () => once(second.listen(port, '127.0.0.1'), 'listening');
  await t.rejects(listening({ option: 'admin.port', host: '127.0.0.1', port }, listen), {
    name: 'StartRefused',
    message: `admin.port: port ${port} of 127.0.0.1 is in use (EADDRINUSE); stop the other program, or name another port`,
  });
});

t.test('an address of another machine', async (t) => {
  const foreign = Object.assign(new Error('not ours'), { code: 'EADDRNOTAVAIL' });
  await t.rejects(
    listening({ option: 'admin.port', host: '192.0.2.1', port: 0 }, () => Promise.reject(foreign)),
    { name: 'StartRefused', message: /^admin\.port: this machine has no address 192\.0\.2\.1/ },
  );
});

t.test('a file that is not there, and other errors as they are', async (t) => {
  const gone = Object.assign(new Error('gone'), { code: 'ENOENT' });
  await t.rejects(
    reading('cert_file', '/x.pem', () => Promise.reject(gone)),
    { name: 'StartRefused', message: /^cert_file: \/x\.pem cannot be read \(ENOENT\)/ },
  );
  const ours = new Error('a bug');
  await t.rejects(
    reading('cert_file', '/x.pem', () => Promise.reject(ours)),
    ours,
  );
  await t.rejects(
    listening({ option: 'p', host: 'h', port: 1 }, () => Promise.reject(ours)),
    ours,
  );
});
