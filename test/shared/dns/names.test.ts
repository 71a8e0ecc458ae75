/**
 * Look-ups of names against a resolver whose answers the test gives: a real one that falls silent, answers
 * late or is replaced is in test/weather.
 */
import type { LookupAddress } from 'node:dns';
import { setImmediate as turn } from 'node:timers/promises';
import t from 'tap';
import { Names } from '../../../shared/dns/names.ts';
import { Places } from '../../../shared/dns/places.ts';
import { ManualClock } from '../../manual-clock.ts';

const V4: LookupAddress[] = [{ address: '192.0.2.1', family: 4 }];
const OTHER: LookupAddress[] = [{ address: '192.0.2.2', family: 4 }];
const NXDOMAIN = Object.assign(new Error('getaddrinfo ENOTFOUND'), { code: 'ENOTFOUND' });

function setUp(placesMax = 4) {
  const clock = new ManualClock();
  const lines: Record<string, unknown>[] = [];
  const asked: Array<{ host: string } & PromiseWithResolvers<LookupAddress[]>> = [];
  const names = new Names({
    ask: ({ host }) => {
      const answer = Promise.withResolvers<LookupAddress[]>();
      asked.push({ host, ...answer });
      return answer.promise;
    },
    placesMax,
    clock,
    log: {
      warn: (line: Record<string, unknown>) => void lines.push(line),
      info: (line: Record<string, unknown>) => void lines.push(line),
    },
  });
  const lookup = (host: string) => names.lookup({ key: host, host });
  const pass = async (ms: number): Promise<void> => {
    await turn();
    clock.advance(ms);
    await turn();
  };
  /** Answers the look-up that is under way for a host. */
  const answer = async (host: string, addresses: LookupAddress[] | Error): Promise<void> => {
    await turn();
    const index = asked.findIndex((one) => one.host === host);
    const [one] = asked.splice(index, 1);
    if (addresses instanceof Error) one?.reject(addresses);
    else one?.resolve(addresses);
    await turn();
  };
  return { pass, names, lookup, asked, answer, lines };
}

t.test('however many ask, one look-up of a name is under way', async (t) => {
  const { pass, lookup, asked, answer, names } = setUp();
  const waiting = Array.from({ length: 50 }, () => lookup('a'));
  // Those who asked first have given up; the look-up goes on, and others join it.
  await pass(9000);
  waiting.push(lookup('a'));
  t.equal(asked.length, 1);
  t.equal(names.underWay, 1);
  await answer('a', V4);
  t.strictSame(new Set(await Promise.all(waiting)), new Set([V4]));
  t.equal(await lookup('a'), V4, 'and for a while nobody asks again');
  t.equal(asked.length, 0);
  t.equal(names.underWay, 0);
});

t.test('without an answer it ends after ten seconds, with the code of the resolver', async (t) => {
  const { pass, lookup, asked } = setUp();
  const first = t.rejects(lookup('a'), { code: 'EAI_AGAIN', hostname: 'a' });
  await pass(10_000);
  await first;
  const second = t.rejects(lookup('a'), { code: 'EAI_AGAIN' });
  t.equal(asked.length, 1, 'the next joins the look-up that still holds a thread');
  await pass(10_000);
  await second;
});

t.test('the error of the resolver is told as it is', async (t) => {
  const { lookup, answer, names } = setUp();
  const asks = t.rejects(lookup('a'), NXDOMAIN);
  await answer('a', NXDOMAIN);
  await asks;
  t.strictSame(names.counts, { answered: 0, failed: 1, stale: 0 });
});

t.test('the last good answer is used while no new one comes, and that is told once', async (t) => {
  const { pass, lookup, asked, answer, lines, names } = setUp();
  const first = lookup('a');
  await answer('a', V4);
  await first;
  await pass(5000);
  const silent = lookup('a');
  await pass(250);
  t.equal(await silent, V4, 'after a quarter of a second');
  t.equal(await lookup('a'), V4, 'and then at once');
  t.equal(asked.length, 1);
  t.match(lines, [{ event: 'dns.stale', host: 'a', ageMs: 5250, problem: /no answer within 250 ms/ }]);
  t.equal(lines.length, 1);
  await answer('a', NXDOMAIN);
  const broken = lookup('a');
  await answer('a', NXDOMAIN);
  t.equal(await broken, V4, 'NXDOMAIN too: a zone breaks more often than a cloud gives up its name');
  t.equal(names.counts.stale, 3);
  const mended = lookup('a');
  await answer('a', OTHER);
  t.equal(await mended, OTHER, 'a new answer takes its place');
  t.match(lines.at(-1), { event: 'dns.answered', host: 'a' });
});

t.test('an answer that comes after the wait is there for the next', async (t) => {
  const { pass, lookup, answer } = setUp();
  const first = lookup('a');
  await answer('a', V4);
  await first;
  await pass(5000);
  const late = lookup('a');
  await pass(3000);
  t.equal(await late, V4);
  await answer('a', OTHER);
  t.equal(await lookup('a'), OTHER);
});

t.test('an answer is not used after a day', async (t) => {
  const { pass, lookup, answer } = setUp();
  const first = lookup('a');
  await answer('a', V4);
  await first;
  await pass(86_400_001);
  const asks = t.rejects(lookup('a'), NXDOMAIN);
  await answer('a', NXDOMAIN);
  await asks;
});

t.test('names without an answer leave places for the others', async (t) => {
  const { pass, lookup, asked, answer } = setUp(4);
  const dead = ['dead1', 'dead2', 'dead3', 'dead4'];
  // Nothing is known of them yet: they hold every place, once.
  const first = dead.map((host) => t.rejects(lookup(host)));
  await pass(10_000);
  await Promise.all(first);
  for (const host of dead) await answer(host, new Error('EAI_AGAIN'));
  // From now on they hold half.
  const again = dead.map((host) => t.rejects(lookup(host)));
  await turn();
  t.strictSame(
    asked.map(({ host }) => host),
    ['dead1', 'dead2'],
  );
  const others = [lookup('a'), lookup('b')];
  await answer('a', V4);
  await answer('b', V4);
  t.strictSame(await Promise.all(others), [V4, V4]);
  await pass(10_000);
  await Promise.all(again);
  await answer('dead1', new Error('EAI_AGAIN'));
  t.strictSame(
    asked.map(({ host }) => host),
    ['dead2', 'dead3'],
    'each in its turn',
  );
});

t.test('look-ups under way, and answers and slow names that are remembered, have bounds (I10)', async (t) => {
  const { lookup, asked, answer } = setUp();
  for (let i = 0; i <= 256; i += 1) {
    const looked = lookup(`host-${i}`);
    await answer(`host-${i}`, V4);
    await looked;
  }
  await lookup('host-1');
  t.equal(asked.length, 0, 'it is still known');
  const again = lookup('host-0');
  await turn();
  t.equal(asked.length, 1, 'the oldest is asked for again');
  await answer('host-0', V4);
  await again;

  const never = new Promise<void>(() => undefined);
  const few = new Places(4);
  let held = 0;
  for (let i = 0; i < 6; i += 1)
    void few.run(`name-${i}`, () => {
      held += 1;
      return never;
    });
  await turn();
  t.equal(held, 4, 'so many look-ups hold a thread');

  const places = new Places(4);
  for (let i = 0; i <= 256; i += 1) places.proved(`slow-${i}`, 4000);
  const begun: string[] = [];
  for (const key of ['slow-0', 'slow-1', 'slow-2', 'slow-256'])
    void places.run(key, async () => {
      begun.push(key);
      await never;
    });
  await turn();
  t.strictSame(begun, ['slow-0', 'slow-1', 'slow-256'], 'beyond, a name counts as any other');
});
