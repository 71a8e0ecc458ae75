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

t.test('what wrong passwords cost is bounded over all names and addresses', async (t) => {
  const clock = new ManualClock();
  const tried = loginsOn(clock, { perSecond: 1, burstSeconds: 5 });
  t.equal(await tried('known', RIGHT), 'ok');
  for (let i = 0; i < 5; i++) t.equal(await tried(`guess-${i}`, 'wrong', `10.0.1.${i}`), 'wrong');
  t.equal(await tried('guess-6', 'wrong', '10.0.1.6'), 'busy');
  t.equal(await tried('known', RIGHT), 'ok', 'a device that is remembered costs nothing');
  clock.advance(1000);
  t.equal(await tried('fresh', RIGHT), 'ok', 'a right password costs none of it');
  t.equal(await tried('fresh-2', RIGHT), 'ok');
});
