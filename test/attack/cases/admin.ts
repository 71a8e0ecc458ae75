/** Web pages, other hosts, floods and guesses at the admin server, with and without a login. */
import { until } from '../../until.ts';
import { type Attack, count, group, type Place } from '../attack.ts';
import { Site } from '../world/site.ts';
import { answerTo, line, lines } from '../world/sockets.ts';

const READS = ['/v1/status', '/v1/clients', '/metrics', '/v1/costs', '/v1/holds'];
const HOLD = JSON.stringify({ provider: 'away', reason: 'attack' });
const CONNECTIONS = 300;
const LOOPBACK = '127.0.0.1';

/** A request as a browser or a stranger sends it; the status of the answer. */
async function ask(
  { agent }: Site,
  { address }: Place,
  request: string,
  headers: Readonly<Record<string, string>>,
  body = '',
): Promise<number> {
  const all = { connection: 'close', 'content-length': String(body.length), ...headers };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  const text = `${request} HTTP/1.1\r\n${lines.join('')}\r\n${body}`;
  const answer = await answerTo({ port: agent.port, host: address }, Buffer.from(text));
  return Number(/^HTTP\/1\.1 (\d+)/.exec(answer)?.[1] ?? 0);
}

const rebinding: Attack<Site> = {
  name: 'admin/dns-rebinding',
  by: ['network'],
  async run(site, place) {
    const hosts = [
      'evil.example',
      `evil.example:${site.agent.port}`,
      '127.0.0.1.evil.example',
      'localhost.evil.example',
      'evil.example@127.0.0.1',
      '[::1].evil.example',
    ];
    let read = 0;
    for (const host of hosts) {
      for (const path of READS) {
        if ((await ask(site, place, `GET ${path}`, { host })) === 200) read += 1;
      }
    }
    return count(read, `of ${hosts.length * READS.length} reads answered under another name`);
  },
};

/** Every change that a page in a browser of this machine can ask for, and every one of another host. */
const changes: Attack<Site> = {
  name: 'admin/changes-from-pages',
  by: ['network'],
  async run(site, place) {
    const host = `${place.address}:${site.agent.port}`;
    const json = { 'content-type': 'application/json' };
    const simple = { 'content-type': 'text/plain' };
    const attempts: ReadonlyArray<readonly [string, Record<string, string>, string]> = [
      ['POST /v1/holds', { host, ...simple, origin: 'http://evil.example' }, HOLD],
      ['POST /v1/holds', { host, ...simple }, HOLD],
      ['POST /v1/holds?_method=PUT', { host, ...json, 'x-http-method-override': 'PUT' }, HOLD],
      ['PUT /v1/holds', { host, ...json, origin: 'http://evil.example' }, HOLD],
      ['PUT /v1/holds', { host, ...json, origin: 'null' }, HOLD],
      ['PUT /v1/holds', { host, ...json, 'sec-fetch-site': 'same-origin' }, HOLD],
      ['PUT /v1/holds', { host: 'evil.example', ...json }, HOLD],
      ['GET /v1/holds?provider=away&reason=attack', { host }, ''],
      ['DELETE /v1/holds?provider=away&all=yes', { host, origin: 'http://evil.example' }, ''],
    ];
    for (const [request, headers, body] of attempts) await ask(site, place, request, headers, body);
    const { holds } = await site.agent.ask<{ holds: unknown[] }>('/v1/holds');
    return count(holds.length, `of ${attempts.length} changes made`);
  },
};

/** The same change by a program: this machine's own is taken, another host's is not. */
const otherHost: Attack<Site> = {
  name: 'admin/changes-from-other-hosts',
  by: ['network'],
  async run(site, place) {
    const host = `${place.address}:${site.agent.port}`;
    const status = await ask(
      site,
      place,
      'PUT /v1/holds',
      { host, 'content-type': 'application/json' },
      HOLD,
    );
    if (place.address !== LOOPBACK) return count(Number(status === 200), 'of 1 change taken');
    if (status !== 200) throw new Error(`this machine's own change was answered with ${status}`);
    await ask(site, place, 'DELETE /v1/holds?provider=away&all=yes', { host });
    const asOther = await ask(
      site,
      place,
      'PUT /v1/holds',
      { host: 'other', 'content-type': 'application/json' },
      HOLD,
    );
    return count(Number(asOther === 200), 'of 1 change taken');
  },
};

const flood: Attack<Site> = {
  name: 'admin/connection-flood',
  by: ['network', 'local user'],
  async run(site, { address: host }) {
    const held = await lines(CONNECTIONS, { port: site.agent.port, host });
    for (const socket of held) socket.write('GET /v1/status HTTP/1.1\r\nhost: ');
    const living = () => held.filter(({ destroyed }) => !destroyed);
    // Refused at once, but for those within the bound; these end after the time for a head.
    await until('only a few are open', () => living().length <= 64);
    await until('the rest is ended', () => living().length === 0);
    const again = await line({ port: site.agent.port, host });
    again.destroy();
    const { buffer } = await site.status();
    return count(buffer.rows, 'rows that are not there, after an answer');
  },
};

export const admin = group<Site>({
  varies: ['address'],
  open: ({ address }) => Site.open({ host: address }),
  attacks: [rebinding, changes, otherHost, flood],
});

const TOKEN = 'correct-horse-battery-staple';

/** Headers without the token, one try on each connection; then many tries on one, the right token last. */
const guesses: Attack<Site> = {
  name: 'admin/guessed-tokens',
  by: ['network', 'local user'],
  async run(site, { isShort }) {
    const basic = (pair: string): string => `Basic ${Buffer.from(pair).toString('base64')}`;
    const known = ['', 'Bearer', 'Bearer ', TOKEN, `Token ${TOKEN}`, basic(TOKEN.slice(1)), basic('root:')];
    const prefixes = Array.from(
      { length: isShort ? 10 : 40 },
      (_, i) => `Bearer ${TOKEN.slice(0, i % 28)}${i}`,
    );
    const request = (authorization: string): string =>
      `GET /v1/status HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: ${authorization}\r\n\r\n`;
    const many = Array.from({ length: 1000 }, (_, i) => request(`Bearer guess-${i}`));
    const tries = [...known, ...prefixes].map(request);
    const answers = await Promise.all(
      [...tries, [...many, request(`Bearer ${TOKEN}`)].join('')].map((text) =>
        answerTo({ port: site.agent.port, host: LOOPBACK }, Buffer.from(text)),
      ),
    );
    const read = answers.filter((answer) => answer.includes('HTTP/1.1 200')).length;
    // The operator beside them is not locked out.
    await site.status();
    return count(read, `of ${tries.length + many.length} guesses answered`);
  },
};

export const adminLogin = group<Site>({
  open: () => Site.open({ token: TOKEN }),
  attacks: [guesses],
});
