/** The long poll over sockets. */
import t from 'tap';
import { ask, bytesOf, startApi } from './support.ts';

t.test('a receipt of what was committed, at once or when it comes', async (t) => {
  const api = await startApi(t);
  const certificate = await api.certificate('gw-1');
  const longPoll = (query: string) =>
    ask(api, { certificate, method: 'GET', path: `/v1/gateways/gw-1/downlink${query}` });
  await ask(api, { certificate, body: bytesOf([1, 2, 4]) });
  const first = await longPoll('');
  t.match(first, {
    status: 200,
    headers: { 'cache-control': 'no-store' },
    body: { receipt: { v: 1, gateway: 'gw-1', streams: [{ to: 4, missing: [[3, 3]], sealed_at: null }] } },
  });
  const { version } = Object(first.body['receipt']);
  const waiting = longPoll(`?after=${version}&wait=10`);
  await ask(api, { certificate, body: bytesOf([3]) });
  t.match(await waiting, { status: 200, body: { receipt: { streams: [{ to: 4, missing: [] }] } } });
  t.match(await longPoll(`?after=${version + 1e12}&wait=0`), { status: 200 }, 'it never falls silent');
});

t.test('nothing new is 204; a question that is none, and another gateway’s, are refused', async (t) => {
  const api = await startApi(t);
  const certificate = await api.certificate('gw-1');
  const longPoll = (path: string) => ask(api, { certificate, method: 'GET', path: `/v1/gateways/${path}` });
  const { version } = Object((await longPoll('gw-1/downlink')).body['receipt']);
  t.match(await longPoll(`gw-1/downlink?after=${version}&wait=0.2`), { status: 204, body: {} });
  for (const query of ['after=x', 'after=-1', 'wait=1e9', `after=${2 ** 60}`])
    t.match(await longPoll(`gw-1/downlink?${query}`), { status: 400 }, query);
  t.match(await longPoll('gw-2/downlink'), { status: 403, body: { reason: 'foreign-gateway' } });
  t.equal(api.source.refusals().get('foreign-gateway'), 1);
  t.match(await ask(api, { method: 'GET', path: '/v1/gateways/gw-1/downlink' }), { status: 401 });
});

t.test('a stop does not wait for polls; a third poll at once is too many (I10)', async (t) => {
  const api = await startApi(t);
  const certificate = await api.certificate('gw-1');
  const longPoll = (query: string) =>
    ask(api, { certificate, method: 'GET', path: `/v1/gateways/gw-1/downlink${query}` });
  const { version } = Object((await longPoll('')).body['receipt']);
  const polls = [0, 1, 2].map(() => longPoll(`?after=${version}&wait=30`));
  t.match(await Promise.race(polls), { status: 429 }, 'the last to arrive');
  await api.source.stop();
  const statuses = (await Promise.all(polls)).map(({ status }) => status);
  t.strictSame(statuses.sort(), [204, 204, 429]);
});
