import t from 'tap';
import { type FreshToken, KeptToken } from '../../../shared/gcp/kept-token.ts';
import { ManualClock } from '../../manual-clock.ts';
import { turns } from '../../turns.ts';

const LIFETIME_MS = 3_600_000;

/** An endpoint that the test answers. */
function endpoint() {
  const asked: PromiseWithResolvers<FreshToken>[] = [];
  const fetch = (): Promise<FreshToken> => {
    const one = Promise.withResolvers<FreshToken>();
    asked.push(one);
    return one.promise;
  };
  const answer = async (name: string, lifetimeMs: number | null = LIFETIME_MS): Promise<void> => {
    asked.at(-1)?.resolve({ headers: new Headers({ authorization: name }), lifetimeMs });
    await turns();
  };
  return { asked, fetch, answer };
}

const name = (headers: Headers): string | null => headers.get('authorization');

t.test('a token serves to its end while its endpoint is silent', async (t) => {
  const clock = new ManualClock();
  const { asked, fetch, answer } = endpoint();
  const token = new KeptToken(fetch, clock);
  const first = token.headers();
  const second = token.headers();
  await answer('one');
  t.same([name(await first), name(await second), asked.length], ['one', 'one', 1], 'one request for both');
  clock.advance(LIFETIME_MS - 300_001);
  await token.headers();
  t.equal(asked.length, 1, 'five minutes before the end it is not yet renewed');
  clock.advance(1);
  t.equal(name(await token.headers()), 'one');
  t.equal(name(await token.headers()), 'one');
  t.equal(asked.length, 2, 'then it is asked for, once');
  asked[1]?.reject(new Error('ETIMEDOUT'));
  await turns();
  t.equal(name(await token.headers()), 'one');
  t.equal(asked.length, 2, 'not at once again');
  clock.advance(5000);
  t.equal(name(await token.headers()), 'one');
  t.equal(asked.length, 3);
  clock.advance(294_000);
  const waiting = token.headers();
  await answer('two');
  t.equal(name(await waiting), 'two', 'without a good token a caller waits');
});

t.test('a caller without a good token is told why there is none', async (t) => {
  const { asked, fetch } = endpoint();
  const token = new KeptToken(fetch, new ManualClock());
  const waiting = token.headers();
  asked[0]?.reject(new Error('ETIMEDOUT'));
  await t.rejects(waiting, { message: 'ETIMEDOUT' });
});

t.test('headers that are made without a request are made for each call', async (t) => {
  const { asked, fetch, answer } = endpoint();
  const token = new KeptToken(fetch, new ManualClock());
  for (const each of ['one', 'two']) {
    const made = token.headers();
    await answer(each, null);
    t.equal(name(await made), each);
  }
  t.equal(asked.length, 2);
});
