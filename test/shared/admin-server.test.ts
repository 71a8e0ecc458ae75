import { once } from 'node:events';
import { request } from 'node:http';
import { connect, createServer } from 'node:net';
import { Gauge, Registry } from 'prom-client';
import t, { type Test } from 'tap';
import { AdminServer, type AdminServerOptions } from '../../shared/admin-server.ts';
import { type Clock, systemClock } from '../../shared/clock.ts';
import { systemEntropy } from '../../shared/entropy.ts';
import { createLogger } from '../../shared/log.ts';
import { ManualClock } from '../manual-clock.ts';
import { until } from '../until.ts';

const lines: string[] = [];
const log = createLogger({ level: 'debug', levels: {} }, { write: (line) => void lines.push(line) });

async function started(t: Test, checks: AdminServerOptions['checks'] = {}, clock: Clock = systemClock) {
  const registry = new Registry();
  new Gauge({ name: 'headgate_test', help: 'x', registers: [registry] }).set(7);
  const server = new AdminServer({
    host: '127.0.0.1',
    clock,
    entropy: systemEntropy,
    port: 0,
    checks,
    registry,
    log,
    routes: {
      '/v1/echo': (query) => ({ status: 200, body: { query } }),
      '/v1/gone': () => ({ status: 404, body: { error: 'no such stream' } }),
      '/v1/broken': () => {
        throw new Error('secret detail');
      },
    },
  });
  await server.start();
  t.teardown(() => server.stop());
  const get = async (path: string, method = 'GET') => {
    const response = await fetch(`http://127.0.0.1:${server.port()}${path}`, { method });
    return {
      status: response.status,
      type: response.headers.get('content-type'),
      text: await response.text(),
    };
  };
  return { server, get };
}

t.test('healthz answers while the process lives, whatever the checks say', async (t) => {
  const { get } = await started(t, { buffer: () => 'disk full' });
  t.match(await get('/healthz'), { status: 200, text: '{"status":"ok"}' });
});

t.test(
  'readyz names the failing checks, with their reasons; a throwing check is a failing one',
  async (t) => {
    let reason: string | null = 'disk full';
    const { get } = await started(t, {
      buffer: () => reason,
      broker: () => Promise.resolve(null),
      ledger: async () => {
        if (reason !== null) throw new Error('database is locked');
        return null;
      },
    });
    const failing = await get('/readyz');
    t.equal(failing.status, 503);
    t.strictSame(JSON.parse(failing.text), {
      status: 'not ready',
      failing: { buffer: 'disk full', ledger: 'database is locked' },
    });
    reason = null;
    const ready = await get('/readyz');
    t.equal(ready.status, 200);
    t.strictSame(JSON.parse(ready.text), { status: 'ready', failing: {} });
  },
);

t.test('metrics are the registry, with the usual metrics of the process', async (t) => {
  const { get } = await started(t);
  const { status, type, text } = await get('/metrics');
  t.equal(status, 200);
  t.match(type, /^text\/plain; version=0\.0\.4/);
  t.match(text, /^headgate_test 7$/m);
  t.match(text, /^process_resident_memory_bytes \d+/m);
  t.match(text, /^nodejs_eventloop_lag_p99_seconds /m);
});

t.test(
  'routes get the query and answer JSON; a failing one says nothing of its inside, and logs it',
  async (t) => {
    const { get } = await started(t);
    t.match(await get('/v1/echo?stream=a&stream=b'), {
      status: 200,
      type: /application\/json/,
      text: '{"query":{"stream":"b"}}',
    });
    t.match(await get('/v1/gone'), { status: 404, text: '{"error":"no such stream"}' });
    t.match(await get('/v1/nope'), { status: 404 });
    t.match(await get('/v1/echo', 'POST'), { status: 404 }, 'read-only');
    const broken = await get('/v1/broken');
    t.equal(broken.status, 500);
    t.notMatch(broken.text, /secret/);
    t.match(lines.join(''), /admin\.request_failed/);
  },
);

t.test('stop ends open connections at once, may come twice, and may come before start', async (t) => {
  const { server, get } = await started(t);
  await get('/healthz');
  await server.stop();
  await server.stop();
  t.throws(() => server.port(), /not listening/);
});

t.test('while the address is taken it tries again, and ends nothing else (I9)', async (t) => {
  const other = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => other.once('listening', resolve));
  const address = other.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const server = new AdminServer({
    host: '127.0.0.1',
    port,
    checks: {},
    registry: new Registry(),
    routes: {},
    clock: systemClock,
    entropy: systemEntropy,
    log,
  });
  t.teardown(() => server.stop());
  await server.start();
  t.throws(() => server.port(), /not listening/);
  t.match(
    lines.join(''),
    /"event":"listener.failed","listener":"admin","error":"admin.port: port .*EADDRINUSE/,
  );
  await new Promise((resolve) => other.close(resolve));
  await until('it listens', () => {
    try {
      return server.port() === port;
    } catch {
      return false; // Not yet.
    }
  });
  t.equal((await fetch(`http://127.0.0.1:${port}/healthz`)).status, 200);
});

t.test('a check that never answers is a failing one', async (t) => {
  const clock = new ManualClock();
  let asked: boolean = false;
  const ledger = (): Promise<null> => {
    asked = true;
    return new Promise(() => undefined);
  };
  const { get } = await started(t, { ledger }, clock);
  const answer = get('/readyz');
  await until('the check', () => asked);
  clock.advance(3000);
  t.match(await answer, { status: 503, text: /"ledger":"no answer in 3000 ms"/ });
});

t.test('a read under another name is refused: a page whose DNS name points here gets nothing', async (t) => {
  const { server } = await started(t);
  const asked = async (host: string): Promise<number | undefined> => {
    const sent = request({ port: server.port(), path: '/metrics', headers: { host } }).end();
    const [answer] = await once(sent, 'response');
    answer.resume();
    return answer.statusCode;
  };
  t.equal(await asked('rebound.example:9464'), 403);
  t.equal(await asked('localhost'), 200);
});

t.test('connections are bounded: the 65th is refused, the others stay', async (t) => {
  const { server } = await started(t);
  const open = await Promise.all(
    Array.from({ length: 64 }, async () => {
      const socket = connect(server.port(), '127.0.0.1');
      await once(socket, 'connect');
      return socket;
    }),
  );
  t.teardown(() => {
    for (const socket of open) socket.destroy();
  });
  const last = connect(server.port(), '127.0.0.1');
  await once(last.resume(), 'close');
  // Without a limit, the server ends the last one with all others, when none has sent a request for long.
  const answers = open.map(async (socket) => {
    socket.write('GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n');
    const [first] = await once(socket, 'data');
    return String(first).slice(0, 12);
  });
  t.same(new Set(await Promise.all(answers)), new Set(['HTTP/1.1 200']));
});
