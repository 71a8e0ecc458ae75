import t from 'tap';
import { retentionRules } from '../../../../router/ledger/options.ts';
import {
  capsOfHolders,
  dueOf,
  HOLDERS_MAX,
  sharedOf,
  type Volume,
} from '../../../../router/ledger/rules/retention.ts';

const HOUR_MS = 3_600_000;
const NOW = 100;
const rules = (...list: object[]) => retentionRules.parse(list);
const volume = (stream: string, hour: number, bytes: number, unshared = 0): Volume => ({
  stream,
  hour,
  bytes,
  unshared,
});
const due = (volumes: Volume[], ...list: object[]) =>
  dueOf(rules(...list), volumes, sharedOf(volumes), NOW * HOUR_MS);
const names = ({ leaving }: ReturnType<typeof due>) =>
  leaving.map(({ volume: { stream, hour }, isWhole }) => `${stream} ${hour}${isWhole ? '' : ' unshared'}`);

t.test('by age whole hours leave, the oldest first, whoever holds them', async (t) => {
  const volumes = [volume('a', 60, 5), volume('a', 50, 5, 5), volume('b', 40, 5), volume('a', NOW, 5)];
  const found = due(volumes, { streams: 'a', max_age: '10h', max_bytes: '1B' });
  t.strictSame(names(found), ['a 50', 'a 60']);
  t.strictSame(found.overfull, [], 'first by age');
});

t.test('beyond max_bytes, hours from before there were shares leave first', async (t) => {
  const before = [volume('a', 10, 30, 30), volume('b', 11, 30, 30), volume('a', 12, 50, 10)];
  t.strictSame(names(due([...before, volume('a', 13, 40)], { streams: '*', max_bytes: '120B' })), ['a 10']);
  const found = due([...before, volume('a', 13, 40)], { streams: '*', max_bytes: '20B' });
  t.strictSame(names(found), ['a 10', 'b 11', 'a 12 unshared']);
  t.strictSame(found.overfull, [], 'and only then the shares');
});

t.test('the shares of a rule are counted together; unshared bytes of the running hour count', async (t) => {
  const volumes = [volume('a', 10, 30), volume('b', 11, 30), volume('a', NOW, 20, 20), volume('c', 1, 500)];
  const limits = [
    { streams: 'c', max_bytes: '500B' },
    { streams: '*', max_bytes: '70B' },
  ];
  t.strictSame(due(volumes, ...limits), {
    leaving: [],
    overfull: [{ streams: ['a', 'b'], held: 60, heldMax: 50 }],
  });
  t.strictSame(due(volumes, { streams: '*', max_bytes: '580B' }).overfull, [], 'all fit');
});

t.test('the largest holders come down to one level, and none below it loses anything', async (t) => {
  const overfull = { streams: ['a'], held: 175, heldMax: 120 };
  const holders = [holder('w', 90), holder('x', 50), holder('y', 30), holder('z', 5)];
  t.strictSame(capsOfHolders(holders, overfull), [holder('w', 42), holder('x', 42)]);
  t.strictSame(capsOfHolders(holders, { ...overfull, heldMax: 175 }), []);
});

t.test('where more hold as much than are listed, those listed shrink in small steps', async (t) => {
  const many = Array.from({ length: HOLDERS_MAX }, (_, i) => holder(`g${i}`, 160));
  const overfull = { streams: ['a'], held: 160 * 1000, heldMax: 160 * 500 };
  t.strictSame(new Set(capsOfHolders(many, overfull).map(({ bytes }) => bytes)), new Set([150]));
  t.equal(capsOfHolders(many, overfull).length, HOLDERS_MAX);
  const flood = [holder('flood', 10_000), ...many.slice(1)];
  const little = { streams: ['a'], held: 10_000 + 160 * 999, heldMax: 6000 + 160 * 999 };
  t.strictSame(capsOfHolders(flood, little), [holder('flood', 6000)], 'one flood alone pays for itself');
});

function holder(gateway: string, bytes: number): { gateway: string; bytes: number } {
  return { gateway, bytes };
}
