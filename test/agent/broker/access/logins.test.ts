import t from 'tap';
import { type LoginResult, Logins } from '../../../../agent/broker/access/logins.ts';
import { hashPassword } from '../../../../agent/broker/access/password.ts';
import { systemEntropy } from '../../../../shared/entropy.ts';
import { ManualClock } from '../../../manual-clock.ts';

const RIGHT = 'correct-horse-1';
const hash = await hashPassword(RIGHT, systemEntropy);

function loginsOn(clock: ManualClock, bounds?: { perSecond: number; burstSeconds: number }) {
  const logins = new Logins(clock, systemEntropy, bounds);
  return (name: string, password: string, address = '10.0.0.1'): Promise<LoginResult> =>
    logins.check({ name, hash, password: Buffer.from(password), address });
}

t.test('wrong passwords lock out one name at one address, for a minute', async (t) => {
  const clock = new ManualClock();
  const tried = loginsOn(clock);
  t.equal(await tried('known', RIGHT), 'ok');
  for (let i = 0; i < 10; i++) t.equal(await tried('pump-1', `wrong-${i}`), 'wrong');
  t.equal(await tried('pump-1', RIGHT), 'limited', 'guessing stops');
  t.equal(await tried('pump-2', RIGHT), 'ok', 'another device behind the address');
  t.equal(await tried('pump-1', RIGHT, '10.0.0.2'), 'ok', 'the device at another address');
  t.equal(await tried('pump-1', RIGHT), 'ok', 'a password that is remembered goes first');
  for (let i = 0; i < 10; i++) await tried('known', `wrong-${i}`);
  t.equal(await tried('known', RIGHT), 'ok', 'so it does after ten failures under its name');
  t.equal(await tried('known', 'wrong-11'), 'limited');
  clock.advance(60_000);
  t.equal(await tried('known', 'wrong-12'), 'wrong');
});

t.test('a flood from one address does not stand before a login from another', async (t) => {
  const logins = new Logins(new ManualClock(), systemEntropy);
  const decided: string[] = [];
  let isFloodGone: boolean = false;
  const tried = async (name: string, password: string, address: string): Promise<LoginResult> => {
    const isGone = (): boolean => isFloodGone && address === '10.0.0.66';
    const result = await logins.check({ name, hash, password: Buffer.from(password), address, isGone });
    decided.push(`${address} ${result}`);
    return result;
  };
  await tried('known', RIGHT, '10.0.0.7');
  const flood = Array.from({ length: 1000 }, (_, i) => tried(`guess-${i}`, 'wrong', '10.0.0.66'));
  const another = tried('another', RIGHT, '10.0.0.8');
  t.equal(await tried('known', RIGHT, '10.0.0.7'), 'ok', 'a remembered device does not wait');
  t.notOk(decided.includes('10.0.0.66 wrong'), 'it came before any computation ended');
  t.equal(await another, 'ok');
  const computed = decided.filter((one) => one === '10.0.0.66 wrong').length;
  // Two under way and one in its turn come first; more end beside it where its own computation takes long.
  t.ok(computed <= 50, `${computed} of 1,000 came first`);
  isFloodGone = true;
  await Promise.all(flood);
  const busy = decided.filter((one) => one === '10.0.0.66 busy').length;
  t.ok(busy >= 900, `the rest is not computed: 498 have no place, the others are gone: ${busy}`);
});

t.test('what wrong passwords cost is bounded over all names and addresses, and refuses no one', async (t) => {
  const clock = new ManualClock();
  const tried = loginsOn(clock, { perSecond: 1, burstSeconds: 5 });
  t.equal(await tried('known', RIGHT), 'ok');
  for (let i = 0; i < 5; i++) t.equal(await tried(`guess-${i}`, 'wrong', `10.0.1.${i}`), 'wrong');
  const results: string[] = [];
  const flood = [0, 1, 2].map(async (i) => results.push(await tried(`more-${i}`, 'wrong', '10.0.1.9')));
  const fresh = tried('fresh', RIGHT, '10.0.0.2').then((result) => results.push(result));
  t.equal(await tried('known', RIGHT), 'ok', 'a device that is remembered does not wait');
  t.same(results, [], 'none is computed before there is a token');
  clock.advance(1000);
  await flood[0];
  t.same(results, ['wrong'], 'a second, a wrong password');
  clock.advance(1000);
  await Promise.all([fresh, flood[1]]);
  t.same(results, ['wrong', 'ok', 'wrong'], 'a right one in its turn gives its token back');
  clock.advance(1000);
  await Promise.all(flood);
});

t.test('a login whose client has gone is not computed', async (t) => {
  const clock = new ManualClock();
  const logins = new Logins(clock, systemEntropy, { perSecond: 1, burstSeconds: 1 });
  let isGone: boolean = false;
  const check = (name: string): Promise<LoginResult> =>
    logins.check({ name, hash, password: Buffer.from('wrong'), address: '10.0.0.1', isGone: () => isGone });
  t.equal(await check('first'), 'wrong');
  const waiting = [check('second'), check('third')];
  isGone = true;
  clock.advance(1000);
  t.same(await Promise.all(waiting), ['busy', 'busy']);
  isGone = false;
  t.equal(await check('fourth'), 'wrong', 'they took no token');
});

t.test('a remembered password lasts a week after its last use, and as long as the stored one', async (t) => {
  const clock = new ManualClock();
  const logins = new Logins(clock, systemEntropy, { perSecond: 1, burstSeconds: 1 });
  const login = (name: string, password: string, stored: string | null = hash): Promise<LoginResult> =>
    logins.check({ name, hash: stored, password: Buffer.from(password), address: '10.0.0.1' });
  const DAY_MS = 86_400_000;
  t.equal(await login('pump', RIGHT), 'ok');
  for (let day = 0; day < 12; day += 6) {
    clock.advance(6 * DAY_MS);
    t.equal(await login('guess', 'wrong'), 'wrong');
    t.equal(await login('pump', RIGHT), 'ok', 'without a computation: there is no token');
  }
  const removed = login('pump', RIGHT, null);
  clock.advance(1000);
  t.equal(await removed, 'wrong', 'the device was removed');
});
