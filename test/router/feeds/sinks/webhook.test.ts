import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { createCertificateAuthority } from '../../../../loopback/ca.ts';
import { Feed, type FeedOptions } from '../../../../router/feeds/feed.ts';
import {
  type WebhookFeedOptions,
  WebhookSink,
  webhookFeedOptions,
} from '../../../../router/feeds/sinks/webhook.ts';
import { signatureHeader } from '../../../../router/feeds/sinks/webhook-signature.ts';
import { openSqliteLedger } from '../../../../router/ledger/sqlite/engine.ts';
import { systemClock as clock } from '../../../../shared/clock.ts';
import { systemEntropy as entropy } from '../../../../shared/entropy.ts';
import { createLogger } from '../../../../shared/log.ts';
import { ManualClock } from '../../../manual-clock.ts';
import { testDir } from '../../../test-dir.ts';
import { until } from '../../../until.ts';
import { entry, record, seqs } from '../../ledger/envelopes.ts';
import { type Posted, receiver } from './receiver.ts';

const KEY = Buffer.alloc(32, 7);
const SECRET = `whsec_${KEY.toString('base64')}`;

async function fresh(t: Test) {
  const lines: string[] = [];
  const log = createLogger({ level: 'trace', levels: {} }, { write: (line) => void lines.push(line) });
  const ledger = await openSqliteLedger({ file: join(testDir(t), 'ledger.db'), clock, log });
  t.teardown(() => ledger.close());
  const start = async (
    options: Partial<Record<keyof WebhookFeedOptions, unknown>> & { url: string },
    rest: Partial<FeedOptions> = {},
  ): Promise<Feed> => {
    const sink = new WebhookSink(webhookFeedOptions.parse({ secret: SECRET, ...options }), clock);
    const feed = new Feed({ name: 'hook', ledger, sink, clock, entropy, log, batchRecords: 20, ...rest });
    await feed.start();
    t.teardown(() => feed.stop());
    return feed;
  };
  return { ledger, start, lines };
}

function seqsIn({ body }: Posted): number[] {
  return JSON.parse(body).data.records.map(({ seq }: { seq: number }) => seq);
}

t.test('batches arrive in order, once, signed by the scheme of Standard Webhooks', async (t) => {
  const { port, posted } = await receiver(t, () => ({ status: 204 }));
  const { ledger, start } = await fresh(t);
  await ledger.commit([entry({ seqs: seqs(1, 50) })]);
  const feed = await start({ url: `http://127.0.0.1:${port}/hook?of=plant` });
  await until('the feed reaches 50', () => feed.state().cursor === 50);
  t.strictSame(posted.map(seqsIn), [seqs(1, 20), seqs(21, 40), seqs(41, 50)]);
  t.equal(new Set(posted.map(({ headers }) => headers['webhook-id'])).size, 3);
  for (const { url, headers, body } of posted) {
    t.equal(url, '/hook?of=plant');
    t.equal(headers['content-type'], 'application/json');
    const timestamp = Number(headers['webhook-timestamp']);
    t.ok(Math.abs(timestamp - Date.now() / 1000) < 60);
    const signed = `${headers['webhook-id']}.${timestamp}.${body}`;
    const expected = createHmac('sha256', KEY).update(signed).digest('base64');
    t.equal(headers['webhook-signature'], `v1,${expected}`);
  }
  t.match(JSON.parse(posted[0]?.body ?? ''), {
    type: 'headgate.records',
    timestamp: '1970-01-01T00:00:01.000Z',
    data: { records: [{ gateway: 'gw-1', epoch: '1-aa', stream: 'telemetry', seq: 1, payload: '1' }] },
  });
});

t.test('the signature of the reference libraries, and one for each secret', async (t) => {
  const key = Buffer.from('MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', 'base64');
  const message = {
    id: 'msg_p5jXN8AQM9LWM0D4loKWxJek',
    timestampS: 1614265330,
    body: Buffer.from('{"test": 2432232314}'),
  };
  const known = 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=';
  t.equal(signatureHeader([key], message), known);
  t.equal(signatureHeader([key, key], message), `${known} ${known}`);
});

t.test('what fails comes again as it was, under its id, and the cursor waits for a 2xx', async (t) => {
  const answers = [500, 302, 404, 200, 200];
  const { port, posted } = await receiver(t, (nth) => ({
    status: answers[nth] ?? 200,
    headers: { location: '/elsewhere' },
  }));
  const { ledger, start, lines } = await fresh(t);
  await ledger.commit([entry({ seqs: [1, 2, 3] })]);
  const feed = await start({ url: `http://127.0.0.1:${port}/hook` });
  await until('the first request arrives', () => posted.length === 1);
  // Would belong to the batch, if it were cut anew.
  await ledger.commit([entry({ seqs: [4, 5] })]);
  await until('the feed has failures', () => feed.state().failures === 3);
  t.match(feed.state(), { phase: 'retrying', cursor: 0, lastError: 'HTTP 404' });
  t.equal((await ledger.loadFeedPosition('hook')).offset, 0);
  await until('the feed reaches 5', () => feed.state().cursor === 5);
  t.strictSame(posted.slice(0, 4).map(seqsIn), Array(4).fill([1, 2, 3]));
  t.equal(new Set(posted.slice(0, 4).map(({ headers }) => headers['webhook-id'])).size, 1);
  t.strictSame(posted.slice(4).flatMap(seqsIn), [4, 5]);
  t.ok(posted.every(({ url }) => url === '/hook'));
  await until('the feed is following', () => feed.state().phase === 'following');
  t.match(feed.state(), { phase: 'following', lastError: null });
  const retries = lines.map((line) => JSON.parse(line)).filter(({ event }) => event === 'feed.failed');
  t.equal(retries.length, 3);
  for (const [i, { retryMs }] of retries.entries()) {
    const ceilingMs = 250 * 2 ** i;
    t.ok(retryMs >= ceilingMs / 2 && retryMs <= ceilingMs, `${retryMs} of ${ceilingMs} ms`);
  }
  t.notOk(lines.join('').includes(SECRET.slice(6)), 'the secret is in no line');
});

t.test('Retry-After is honoured, in seconds and as a date', async (t) => {
  const { port, posted } = await receiver(t, (nth) => {
    if (nth === 0) return { status: 429, headers: { 'retry-after': '1' } };
    if (nth > 1) return { status: 200 };
    // By the receiver's own time, which may be another one.
    const date = 'Mon, 01 Jan 2001 00:00:00 GMT';
    return { status: 503, headers: { date, 'retry-after': 'Mon, 01 Jan 2001 00:00:03 GMT' } };
  });
  const { ledger, start, lines } = await fresh(t);
  await ledger.commit([entry({ seqs: [1] })]);
  const feed = await start({ url: `http://127.0.0.1:${port}/` });
  await until('the feed reaches 1', () => feed.state().cursor === 1);
  t.equal(posted.length, 3);
  const pauses = lines.map((line) => JSON.parse(line)).flatMap(({ retryMs }) => retryMs ?? []);
  t.same(pauses, [1000, 3000]);
});

t.test('410 Gone stops the feed, in a state with a name', async (t) => {
  const { port, posted } = await receiver(t, () => ({ status: 410 }));
  const { ledger, start, lines } = await fresh(t);
  await ledger.commit([entry({ seqs: [1] })]);
  const manual = new ManualClock();
  const feed = await start({ url: `http://127.0.0.1:${port}/` }, { name: 'first', clock: manual });
  await until('the feed is gone', () => feed.state().phase === 'gone');
  feed.notify();
  manual.advance(60_000);
  const other = await start({ url: `http://127.0.0.1:${port}/other` });
  await until('a feed that starts later is refused too', () => other.state().phase === 'gone');
  t.strictSame(
    posted.map(({ url }) => url),
    ['/', '/other'],
    'the first one sends nothing more',
  );
  t.match(feed.state(), { phase: 'gone', cursor: 0, failures: 1, lastError: 'HTTP 410' });
  t.ok(lines.some((line) => line.includes('feed.gone')));
  await feed.stop();
});

t.test('a body is bounded; a record larger than that goes alone', async (t) => {
  const { port, posted } = await receiver(t, () => ({ status: 200 }));
  const { ledger, start } = await fresh(t);
  const made = entry({ seqs: seqs(1, 10) });
  made.envelope.records = seqs(1, 10).map((seq) => record(seq, 'x'.repeat(seq === 5 ? 9000 : 1000)));
  await ledger.commit([made]);
  const feed = await start({ url: `http://127.0.0.1:${port}/`, batch_bytes: '4KiB' });
  await until('the feed reaches 10', () => feed.state().cursor === 10);
  t.strictSame(posted.map(seqsIn), [[1, 2, 3], [4], [5], [6, 7, 8], [9, 10]]);
  t.equal(feed.state().written, 10);
});

t.test('an endpoint that does not answer, or answers without an end, is no end', async (t) => {
  const { port, posted } = await receiver(t, (nth) =>
    nth === 0 ? null : { status: 200, body: Buffer.alloc(1_000_000) },
  );
  const { ledger, start } = await fresh(t);
  await ledger.commit([entry({ seqs: [1] })]);
  const feed = await start({ url: `http://127.0.0.1:${port}/`, timeout: '200ms' });
  await until('the feed has failures', () => feed.state().failures === 1);
  t.equal(feed.state().lastError, 'no answer within 0.2 s');
  await until('the feed reaches 1', () => feed.state().cursor === 1);
  t.equal(posted.length, 2);
});

t.test('an answer that begins and does not end is none', async (t) => {
  const server = createServer((_request, response) => response.writeHead(200).write('so far'));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  const port = typeof address === 'object' && address ? address.port : 0;
  const { ledger, start } = await fresh(t);
  await ledger.commit([entry({ seqs: [1] })]);
  const feed = await start({ url: `http://127.0.0.1:${port}/`, timeout: '200ms' });
  await until('the feed has failures', () => feed.state().failures > 1);
  t.match(feed.state(), { cursor: 0, lastError: 'no answer within 0.2 s' });
});

t.test('stopping ends a POST that waits for its answer', async (t) => {
  const { port, posted } = await receiver(t, () => null);
  const { ledger } = await fresh(t);
  await ledger.commit([entry({ seqs: [1] })]);
  const url = `http://127.0.0.1:${port}/`;
  const sink = new WebhookSink(webhookFeedOptions.parse({ url, secret: SECRET }), clock);
  const stuck = t.rejects(sink.write(await ledger.read(0, 1)), { message: /stopped/ });
  await until('the first request arrives', () => posted.length === 1);
  await sink.close();
  await stuck;
});

t.test('TLS, trusting the given authority only', async (t) => {
  const authority = await createCertificateAuthority(clock, entropy);
  const { port, posted } = await receiver(
    t,
    () => ({ status: 200 }),
    await authority.issue('hook', 'server'),
  );
  const { ledger, start } = await fresh(t);
  await ledger.commit([entry({ seqs: [1] })]);
  const url = `https://127.0.0.1:${port}/`;
  const untrusting = await start({ url });
  await until('the handshake fails', () => untrusting.state().failures > 0);
  t.match(untrusting.state(), { cursor: 0, lastError: /certificate/ });
  await untrusting.stop();
  const feed = await start({ url, ca: authority.ca });
  await until('the feed reaches 1', () => feed.state().cursor === 1);
  t.equal(posted.length, 1);
});

t.test('a CloudEvents batch: JSON as it stands, text, bytes', async (t) => {
  const { port, posted } = await receiver(t, () => ({ status: 200 }));
  const { ledger, start } = await fresh(t);
  const made = entry({ gateway: 'gw/ä', seqs: [1, 2, 3, 4] });
  const payloads = [
    Buffer.from('{"n": 12345678901234567890}'),
    Buffer.from('warm "\n'),
    Buffer.of(0xff),
    Buffer.of(),
  ];
  made.envelope.records = payloads.map((payload, i) => ({ ...record(i + 1), payload }));
  await ledger.commit([made]);
  const feed = await start({ url: `http://127.0.0.1:${port}/`, format: 'cloudevents' });
  await until('the feed reaches 4', () => feed.state().cursor === 4);
  const [post] = posted;
  t.equal(post?.headers['content-type'], 'application/cloudevents-batch+json');
  t.match(post?.body, '"data":{"n": 12345678901234567890}}', 'no digit is lost');
  const events = JSON.parse(post?.body ?? '');
  t.strictSame(events[1], {
    specversion: '1.0',
    id: '1-aa/telemetry/2',
    source: '/headgate/gw%2F%C3%A4',
    type: 'headgate.record',
    subject: 'plant/device-2/temp',
    time: '2023-11-14T22:13:20.020Z',
    datacontenttype: 'text/plain',
    gateway: 'gw/ä',
    epoch: '1-aa',
    stream: 'telemetry',
    sequence: '2',
    device: 'device-2',
    clockquality: 'synchronised',
    data: 'warm "\n',
  });
  t.match(events[2], { datacontenttype: 'application/octet-stream', data_base64: '/w==' });
  t.match(events[3], { datacontenttype: 'text/plain', data: '' });
});

t.test('options', async (t) => {
  const parse = (options: object) => webhookFeedOptions.safeParse(options);
  const url = 'https://example.com/';
  t.match(parse({ url, secret: SECRET }), {
    data: { format: 'json', batch_records: 500, batch_bytes: 262_144, timeout: 15_000 },
  });
  t.ok(parse({ url, secret: `${SECRET}\n${SECRET}\n` }).success, 'two, while it is changed');
  for (const secret of ['', 'whsec_', KEY.toString('base64'), `${SECRET} x`, 'whsec_c2hvcnQ=']) {
    t.notOk(parse({ url, secret }).success, secret);
  }
  t.notOk(parse({ url: 'ftp://example.com/', secret: SECRET }).success);
  for (const url of ['http://example.com/', 'http://10.0.0.7:8080/in', 'http://127.0.0.1.example.com/']) {
    t.match(parse({ url, secret: SECRET }), { success: false, error: { issues: [{ path: ['url'] }] } }, url);
    t.ok(parse({ url, secret: SECRET, insecure: true }).success);
  }
  for (const host of ['localhost', '127.0.0.1', '[::1]']) {
    t.ok(parse({ url: `http://${host}:8080/in`, secret: SECRET }).success, host);
  }
});

t.test('413 makes smaller bodies, and a refused record stands alone', async (t) => {
  const sizes: number[] = [];
  const { port, posted } = await receiver(t, (_nth, body) => {
    sizes.push(body.length);
    if (body.length > 3000) return { status: 413 };
    return { status: body.includes('"seq":17,') ? 422 : 200 };
  });
  const { ledger, start } = await fresh(t);
  const made = entry({ seqs: seqs(1, 40) });
  made.envelope.records = seqs(1, 40).map((seq) => record(seq, 'x'.repeat(400)));
  await ledger.commit([made]);
  const feed = await start({ url: `http://127.0.0.1:${port}/` });
  await until('record 17 stands alone', () => feed.state().refused !== null);
  t.match(feed.state(), {
    cursor: 16,
    refused: { id: 'gw-1/1-aa/telemetry/17', offset: 17, error: 'HTTP 422' },
  });
  const from = await ledger.loadFeedPosition('hook');
  await ledger.moveFeedPosition('hook', from, { ...from, offset: 17 });
  await until('the feed reaches 40', () => feed.state().cursor === 40);
  t.ok(sizes.filter((size) => size > 3000).length <= 3, `bodies of ${sizes.join(', ')} bytes`);
  const stored = posted
    .filter(({ body }) => body.length <= 3000 && !body.includes('"seq":17,'))
    .flatMap(seqsIn);
  t.strictSame(
    stored,
    seqs(1, 40).filter((seq) => seq !== 17),
  );
});
