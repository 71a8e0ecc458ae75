import t from 'tap';
import { quotaOptions } from '../../../router/quotas/options.ts';
import { Quotas, type Sender } from '../../../router/quotas/quotas.ts';
import { WaitingPlaces } from '../../../router/sources/waiting-places.ts';
import { createLogger } from '../../../shared/log.ts';
import { ManualClock } from '../../manual-clock.ts';
import { seqs } from '../ledger/envelopes.ts';

function fresh(options: Record<string, unknown> = {}, bounds = { accounts: 50_000, streams: 500_000 }) {
  const clock = new ManualClock(1_700_000_000_000);
  const lines: unknown[] = [];
  const log = createLogger(
    { level: 'info', levels: {} },
    { write: (line) => void lines.push(JSON.parse(line)) },
  );
  return { clock, lines, quotas: new Quotas(quotaOptions.parse(options), { clock, log, bounds }) };
}

const gw1: Sender = { source: 'aws', gateway: 'gw-1', isProven: true };

t.test('a burst of ten seconds, then what the rate allows; what is refused costs nothing', async (t) => {
  const { clock, quotas } = fresh({ envelopes_per_second: 2, bytes_per_second: '100B' });
  const taken = (sender: Sender, bytes = 1): number =>
    seqs(1, 100).filter(() => quotas.message(sender, bytes) === null).length;
  t.equal(taken(gw1), 20);
  t.match(quotas.message(gw1, 1), { quota: 'envelopes', waitMs: 500 });
  clock.advance(1000);
  t.equal(taken(gw1), 2, 'not the hundreds that were refused');
  clock.advance(10_000);
  t.equal(quotas.message(gw1, 5000), null, 'larger than the burst: it is paid for afterwards');
  t.match(quotas.message(gw1, 1), { quota: 'bytes' });
  clock.advance(39_000);
  t.match(quotas.message(gw1, 1), { quota: 'bytes' });
  clock.advance(2000);
  t.equal(quotas.message(gw1, 1), null);
});

t.test('another gateway, another source and a claimed name have accounts of their own', async (t) => {
  const { quotas } = fresh({ envelopes_per_second: 1 });
  const use = (sender: Sender): number => seqs(1, 30).filter(() => !quotas.message(sender, 1)).length;
  const senders = [gw1, { ...gw1, gateway: 'gw-2' }, { ...gw1, source: 'gcp' }, { ...gw1, isProven: false }];
  t.strictSame(senders.map(use), [10, 10, 10, 10]);
  t.strictSame(senders.map(use), [0, 0, 0, 0]);
});

t.test('new streams are counted by the day, known ones are not', async (t) => {
  const { clock, quotas } = fresh({ new_streams_per_day: 3 });
  const stream = (epoch: string) => quotas.stream(gw1, { gateway: 'gw-1', epoch, stream: 's' });
  t.strictSame(['1', '2', '3'].map(stream), [null, null, null]);
  const over = stream('4');
  t.equal(over?.quota, 'streams');
  t.equal(Math.round((over?.waitMs ?? 0) / 3_600_000), 8, 'hours');
  t.strictSame(['2', '1', '3'].map(stream), [null, null, null], 'known');
  clock.advance(28_801_000);
  t.equal(stream('5'), null, 'a third of a day later');
  t.match(stream('6'), { quota: 'streams' });
  t.match(stream('2'), { quota: 'streams' }, 'forgotten: as many are remembered as the quota allows');
});

t.test('the first group with the gateway counts, and has what it does not say from all', async (t) => {
  const groups = [
    { name: 'large', gateways: ['plant-*', 'gw-9'], envelopes_per_second: 3 },
    { name: 'free', gateways: ['*-lab'], envelopes_per_second: 0 },
  ];
  const { quotas } = fresh({ envelopes_per_second: 1, groups });
  const burst = (gateway: string): number =>
    seqs(1, 100).filter(() => !quotas.message({ ...gw1, gateway }, 1)).length;
  t.strictSame(['plant-lab', 'gw-9', 'a-lab', 'gw-1'].map(burst), [30, 30, 100, 10]);
  quotas.exceeded({ ...gw1, gateway: 'gw-9' }, { quota: 'envelopes' }, 'waits');
  quotas.exceeded(gw1, { quota: 'envelopes' }, 'waits');
  t.strictSame(
    quotas.over(5).map(({ group }) => group),
    ['large', 'default'],
  );
});

t.test('who was over a quota in the last hour is said, in one log line at first', async (t) => {
  const { clock, lines, quotas } = fresh();
  const over = { quota: 'bytes' } as const;
  quotas.exceeded(gw1, over, 'waits');
  clock.advance(60_000);
  quotas.exceeded(gw1, over, 'dead-letter');
  clock.advance(60_000);
  quotas.exceeded({ ...gw1, gateway: 'gw-2' }, { ...over, quota: 'streams' }, 'waits');
  t.match(lines, [
    { event: 'quota.exceeded', gateway: 'gw-1', source: 'aws', quota: 'bytes', group: 'default' },
    { event: 'quota.exceeded', gateway: 'gw-2', quota: 'streams' },
  ]);
  t.equal(lines.length, 2);
  t.match(quotas.over(1), [{ gateway: 'gw-1', outcomes: { waits: 1, 'dead-letter': 1 } }]);
  clock.advance(3_540_001);
  t.match(quotas.over(5), [{ gateway: 'gw-2' }], 'gw-1 was within its quotas for an hour');
  t.equal(quotas.over(5).length, 1);
  quotas.exceeded(gw1, over, 'waits');
  t.equal(lines.length, 3, 'again, after an hour');
  t.match(quotas.over(5)[0], { outcomes: { waits: 1 } });
  t.strictSame(
    quotas.counts().map(({ quota, outcome, count }) => [quota, outcome, count]),
    [
      ['bytes', 'waits', 2],
      ['bytes', 'dead-letter', 1],
      ['streams', 'waits', 1],
    ],
  );
});

t.test('what the ledger dropped of a gateway is said like what it sent too much', async (t) => {
  const { clock, lines, quotas } = fresh({ groups: [{ name: 'small', gateways: ['gw-1'] }] });
  quotas.dropped({ table: 'dead_letter', source: 'aws', gateway: 'gw-1', rows: 3 });
  quotas.dropped({ table: 'dead_letter', source: 'aws', gateway: 'gw-1', rows: 2 });
  clock.advance(2000);
  quotas.dropped({ table: 'conflict', source: 'aws', gateway: '', rows: 1 });
  t.match(quotas.over(5), [
    { gateway: 'gw-1', isProven: true, group: 'small', quota: 'dead-letters', outcomes: { dropped: 5 } },
    { gateway: '', isProven: false, quota: 'conflicts', outcomes: { dropped: 1 } },
  ]);
  t.match(quotas.counts(), [
    { source: 'aws', quota: 'dead-letters', outcome: 'dropped', count: 5 },
    { source: 'aws', quota: 'conflicts', outcome: 'dropped', count: 1 },
  ]);
  t.match(lines, [
    { event: 'quota.exceeded', gateway: 'gw-1', quota: 'dead-letters', outcome: 'dropped' },
    { event: 'quota.exceeded', quota: 'conflicts' },
  ]);
});

t.test('no more gateways are said to be over a quota than are remembered (I10)', async (t) => {
  const { quotas } = fresh();
  for (const i of seqs(1, 1500)) quotas.exceeded({ ...gw1, gateway: `g${i}` }, { quota: 'bytes' }, 'waits');
  t.equal(quotas.over(10_000).length, 1000);
});

t.test('the account used least recently is forgotten, by its number and its streams (I10)', async (t) => {
  const some = ['a', 'b', 'c', 'd'].map((gateway) => ({ ...gw1, gateway }));
  const few = fresh({ envelopes_per_second: 1 }, { accounts: 3, streams: 100 }).quotas;
  const burst = (sender: Sender): number => seqs(1, 20).filter(() => !few.message(sender, 1)).length;
  t.strictSame(some.map(burst), [10, 10, 10, 10]);
  t.strictSame(some.toReversed().map(burst), [0, 0, 0, 10], 'the first one is forgotten');

  const { quotas } = fresh({ new_streams_per_day: 2 }, { accounts: 10, streams: 5 });
  const open = (sender: Sender, epoch: string): boolean =>
    quotas.stream(sender, { gateway: sender.gateway, epoch, stream: 's' }) === null;
  for (const sender of some.slice(0, 3)) t.ok(open(sender, '1') && open(sender, '2'));
  t.notOk(open({ ...gw1, gateway: 'c' }, '3'));
  t.ok(open({ ...gw1, gateway: 'a' }, '3'), 'six streams are one too many: the first account is forgotten');
});

t.test('places for messages that wait are free again a minute after their time', async (t) => {
  const clock = new ManualClock();
  const places = new WaitingPlaces(2, clock);
  t.strictSame(
    [30_000, 600_000, 1].map((ms) => places.take(ms)),
    [true, true, false],
  );
  clock.advance(59_000);
  t.notOk(places.take(1));
  clock.advance(1000);
  t.ok(places.take(1), 'the first one was delivered');
  t.notOk(places.take(1));
});
