import { once } from 'node:events';
import { connect, Socket } from 'node:net';
import { Registry } from 'prom-client';
import t from 'tap';
import { AdminLogin } from '../../shared/admin-login.ts';
import { AdminServer } from '../../shared/admin-server.ts';
import { systemEntropy } from '../../shared/entropy.ts';
import { createLogger } from '../../shared/log.ts';
import { ManualClock } from '../manual-clock.ts';
import { until } from '../until.ts';

const TOKEN = 'correct-horse-battery';
const lines: string[] = [];
const log = createLogger({ level: 'debug', levels: {} }, { write: (line) => void lines.push(line) });

function basic(user: string, password: string): string {
  return `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
}

t.test('every path asks for the token, but for the probes, which then learn no reason', async (t) => {
  const clock = new ManualClock();
  let changed = 0;
  const server = new AdminServer({
    host: '127.0.0.1',
    port: 0,
    token: TOKEN,
    checks: { buffer: () => 'disk full' },
    registry: new Registry(),
    routes: { '/v1/status': () => ({ status: 200, body: {} }) },
    changes: {
      '/v1/holds': {
        noted: () => null,
        put: () => {
          changed += 1;
          return Promise.resolve({ status: 200, body: {} });
        },
        delete: () => ({ status: 200, body: {} }),
      },
    },
    clock,
    entropy: systemEntropy,
    log,
  });
  await server.start();
  t.teardown(() => server.stop());
  const base = `http://127.0.0.1:${server.port()}`;
  const asked = async (path: string, authorization?: string, method = 'GET') => {
    const headers = authorization === undefined ? {} : { authorization };
    const answer = await fetch(`${base}${path}`, { method, headers });
    return { status: answer.status, text: await answer.text(), headers: answer.headers };
  };
  for (const path of ['/v1/status', '/metrics', '/v1/nothing', '/healthz/', '//healthz', '/HEALTHZ'])
    t.equal((await asked(path)).status, 401, path);
  const { headers } = await asked('/v1/status');
  t.match(headers.get('www-authenticate'), /^Basic realm="headgate".*, Bearer realm="headgate"$/);
  t.equal((await asked('/v1/holds', undefined, 'PUT')).status, 401);
  t.equal(changed, 0);
  t.match(await asked('/healthz'), { status: 200, text: '{"status":"ok"}' });
  t.match(await asked('/readyz'), { status: 503, text: '{"status":"not ready"}' });
  for (const right of [`Bearer ${TOKEN}`, `bearer  ${TOKEN}`, basic('anybody', TOKEN), basic('', TOKEN)]) {
    t.equal((await asked('/v1/status', right)).status, 200, right);
    t.match((await asked('/readyz', right)).text, 'disk full');
  }
  t.equal((await asked('/v1/holds', `Bearer ${TOKEN}`, 'PUT')).status, 200);
  for (const none of ['', 'Bearer', 'Digest x', `Token ${TOKEN}`, TOKEN])
    t.equal((await asked('/metrics', none)).status, 401, `no token: "${none}"`);

  // A second request on the connection of a wrong token is not done, also with the right one.
  const changedBefore = changed;
  const socket = connect(server.port(), '127.0.0.1');
  const request = (method: string, path: string, token: string) =>
    `${method} ${path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer ${token}\r\n\r\n`;
  socket.write(request('GET', '/v1/status', 'wrong-horse-battery') + request('PUT', '/v1/holds', TOKEN));
  let answers = '';
  socket.setEncoding('latin1').on('data', (text: string) => {
    answers += text;
  });
  const before = lines.length;
  await until('the refusal', () => lines.slice(before).some((line) => line.includes('admin.login_refused')));
  t.equal(answers, '', 'the answer waits');
  clock.advance(1000);
  await once(socket, 'close');
  t.strictSame(answers.match(/HTTP\/1\.1 \d+/g), ['HTTP/1.1 401']);
  t.equal(changed, changedBefore);
  t.equal((await asked('/v1/status', `Bearer ${TOKEN}`)).status, 200, 'this machine is not locked out');
  t.notMatch(lines.join(''), /horse/, 'no token in the log');
});

t.test('of another host, ten wrong tokens a minute; then its network is refused, and no other', async (t) => {
  const clock = new ManualClock();
  const login = new AdminLogin(TOKEN, { clock, log });
  const tried = (ip: string, token: string) =>
    login.check({ authorization: `Bearer ${token}`, ip, socket: new Socket() });
  for (let i = 0; i < 10; i++) t.equal(await tried(`2001:db8:0:1::${i}`, `wrong-${i}`), 'wrong');
  t.equal(await tried('2001:db8:0:1::ff', 'wrong'), 'limited');
  t.equal(await tried('2001:db8:0:1::ff', TOKEN), 'limited', 'no oracle');
  t.equal(await tried('2001:db8:0:2::1', TOKEN), 'ok');
  t.equal(await tried('::ffff:192.0.2.1', TOKEN), 'ok');
  clock.advance(6000);
  t.equal(await tried('2001:db8:0:1::1', 'wrong'), 'wrong', 'one more after a tenth of a minute');
  t.equal(await tried('2001:db8:0:1::1', 'wrong'), 'limited');
  clock.advance(6000);
  t.equal(await tried('2001:db8:0:1::1', TOKEN), 'ok');
});
