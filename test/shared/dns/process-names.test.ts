/** The whole process looks up by it: real look-ups, counted as Node.js makes them. */
import dns, { promises as promised } from 'node:dns';
import { once } from 'node:events';
import { get } from 'node:http';
import { type AddressInfo, createServer, getDefaultAutoSelectFamilyAttemptTimeout } from 'node:net';
import { PerformanceObserver } from 'node:perf_hooks';
import { promisify } from 'node:util';
import t from 'tap';
import { systemClock as clock } from '../../../shared/clock.ts';
import { ProcessNames } from '../../../shared/dns/process-names.ts';
import { createLogger } from '../../../shared/log.ts';
import { until } from '../../until.ts';

const before = { lookup: dns.lookup, attemptMs: getDefaultAutoSelectFamilyAttemptTimeout() };
const names = new ProcessNames({ clock, log: createLogger({ level: 'silent', levels: {} }) });
t.before(() => names.start());

t.test('fetch, http and dns.promises share one look-up', async (t) => {
  const server = createServer((socket) => socket.end('HTTP/1.1 204 None\r\nconnection: close\r\n\r\n'));
  server.listen(0);
  await once(server, 'listening');
  t.teardown(() => server.close());
  const { port } = server.address() as AddressInfo;
  const seen: string[] = [];
  const observer = new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) if (entry.name === 'lookup') seen.push(entry.name);
  });
  observer.observe({ entryTypes: ['dns'] });
  t.teardown(() => observer.disconnect());
  const url = `http://localhost:${port}/`;
  const fetched = Array.from({ length: 10 }, () => fetch(url).then(({ status }) => status));
  const got = Array.from({ length: 10 }, async () => {
    const [response] = await once(get(url), 'response');
    return response.resume().statusCode;
  });
  t.strictSame(new Set(await Promise.all([...fetched, ...got])), new Set([204]));
  await until('the look-up is seen', () => seen.length > 0);
  t.equal(names.names.counts.answered, seen.length);
  t.equal(seen.length, 1);
});

t.test('dns.lookup answers in each of its forms', async (t) => {
  const called = ({
    host = 'localhost',
    ...options
  }: {
    host?: string;
    family?: number | 'IPv4';
    all?: true;
  }) => new Promise((resolve) => dns.lookup(host, options, (...answer: unknown[]) => resolve(answer)));
  t.match(await called({ family: 4 }), [null, '127.0.0.1', 4]);
  t.match(await called({ family: 'IPv4', all: true }), [null, [{ address: '127.0.0.1', family: 4 }]]);
  t.match(
    await new Promise((resolve) => dns.lookup('localhost', 4, (_error, ip) => resolve(ip))),
    '127.0.0.1',
  );
  t.match(await promised.lookup('localhost', 4), { address: '127.0.0.1', family: 4 });
  t.strictSame(await promised.lookup('192.0.2.1', { all: true }), [{ address: '192.0.2.1', family: 4 }]);
  t.match(await promisify(dns.lookup)('localhost', 4), { address: '127.0.0.1', family: 4 });
  // No server is asked: a label has at most 63 octets (RFC 1035, 2.3.4).
  const impossible = `${'a'.repeat(64)}.invalid`;
  await t.rejects(promised.lookup(impossible), new RegExp(`getaddrinfo .*${impossible}`));
  t.match(await called({ host: impossible }), [{ syscall: 'getaddrinfo', hostname: impossible }]);
  await t.rejects(promised.lookup('localhost', { family: 5 } as never), { code: 'ERR_INVALID_ARG_VALUE' });
});

t.test('an address has two seconds to answer', (t) => {
  t.equal(getDefaultAutoSelectFamilyAttemptTimeout(), 2000);
  t.end();
});

t.test('afterwards all is as it was', async (t) => {
  await names.stop();
  t.equal(dns.lookup, before.lookup);
  t.equal(getDefaultAutoSelectFamilyAttemptTimeout(), before.attemptMs);
});
