/** docs/security/own-ca.md, command by command, with openssl; a broker takes what they make. */
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import t from 'tap';
import { device, login, startGated } from '../agent/broker/access/devices-fixture.ts';
import { ROOT } from '../cli/run.ts';
import { testDir } from '../test-dir.ts';
import { until } from '../until.ts';

const page = readFileSync(join(ROOT, 'docs/security/own-ca.md'), 'utf8');
const blocks = [...page.matchAll(/^```sh\n(.*?)^```/gms)].map(([, block = '']) => block);

t.test('the commands of the page make what a listener takes, and revoke it', async (t) => {
  const dir = testDir(t);
  const [authority = '', server = '', client = '', list = '', revoke = '', staple = '', ...more] = blocks;
  t.strictSame(more, [], 'six blocks');
  const run = (script: string) =>
    execFileSync('bash', ['-euc', script], { cwd: dir, stdio: ['ignore', 'ignore', 'pipe'] });
  for (const block of [authority, server, client, list, staple]) run(block);
  const file = (name: string) => join(dir, name);
  const { broker, port } = await startGated(
    t,
    { devices: [device('pump-1')] },
    {
      listeners: [
        {
          type: 'tls',
          host: '127.0.0.1',
          port: 0,
          tls: {
            certFile: file('server.crt'),
            keyFile: file('server.key'),
            clientCaFile: file('ca.crt'),
            clientCrlFile: file('crl.pem'),
            ocspFile: file('server.ocsp'),
            auth: 'certificate',
            deviceName: 'cn',
          },
        },
      ],
      allowAnonymous: false,
    },
  );
  const connecting = () =>
    login(t, {
      protocol: 'mqtts',
      host: 'localhost',
      port,
      clientId: 'pump-1',
      ca: readFileSync(file('ca.crt')),
      cert: readFileSync(file('pump-1.crt')),
      key: readFileSync(file('pump-1.key')),
    });
  const asking = connectTls({ host: '127.0.0.1', port, ca: readFileSync(file('ca.crt')), requestOCSP: true });
  const [response] = await once(
    asking.on('error', () => undefined),
    'OCSPResponse',
  );
  asking.destroy();
  t.same(response, readFileSync(file('server.ocsp')), 'stapled');
  const pump = await connecting();
  if (typeof pump === 'number') throw new Error('the device was refused');
  run(revoke);
  await until('the connection of the revoked one ends', () => !pump.connected);
  t.equal(await connecting(), -1, 'a revoked certificate is refused');
  await until('nobody is connected', () => broker.stats().connections === 0);
});
