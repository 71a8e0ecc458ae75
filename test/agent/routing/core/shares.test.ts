/** How envelopes are shared out, see agent/routing/core/shares.ts. */
import t from 'tap';
import { candidates, explain, sharesOf } from '../../../../agent/routing/core/core.ts';
import { dealt } from '../../../../agent/routing/core/shares.ts';
import { accept, facts, policyOf, refuse, World } from './world.ts';

const NONE: ReadonlySet<string> = new Set();
const SHARES = [
  { provider: 'a', part: 0.6 },
  { provider: 'b', part: 0.3 },
  { provider: 'c', part: 0.1 },
];

function counts(deal: (turn: number) => string | null, from: number, turns: number): Record<string, number> {
  const found: Record<string, number> = {};
  for (let turn = from; turn < from + turns; turn++) {
    const name = deal(turn) ?? 'nobody';
    found[name] = (found[name] ?? 0) + 1;
  }
  return found;
}

function split(shares: Record<string, number> = {}): World {
  const policy = policyOf({ streams: { telemetry: { topics: ['#'], mode: 'split', shares } } });
  const w = new World({ policy, providers: [facts('a'), facts('b'), facts('c')] });
  w.run(1000);
  return w;
}

t.test('any hundred turns in a row are shared out as asked, within two (SPEC 23)', (t) => {
  for (const from of [0, 1, 377, 1_000_003]) {
    const found = counts((turn) => dealt(SHARES, NONE, turn), from, 100);
    for (const { provider, part } of SHARES)
      t.ok(
        Math.abs((found[provider] ?? 0) - part * 100) <= 2,
        `${provider} from ${from}: ${found[provider]}`,
      );
  }
  t.equal(dealt(SHARES, NONE, 0), 'a', 'turn 0 is the best one’s');
  t.end();
});

t.test('who is left out leaves its share to the others, by theirs (SPEC 23)', (t) => {
  const found = counts((turn) => dealt(SHARES, new Set(['a']), turn), 0, 100);
  t.ok(Math.abs(Number(found['b']) - 75) <= 2, `${found['b']}`);
  t.equal(dealt(SHARES, new Set(['a', 'b', 'c']), 5), null);
  t.equal(dealt([], NONE, 5), null);
  t.end();
});

t.test('the turn decides who comes first, and nobody else is lost or twice there (SPEC 23)', (t) => {
  const w = split({ a: 1, b: 1 });
  for (let turn = 0; turn < 50; turn++) {
    const found = candidates(w.state, 'telemetry', NONE, turn);
    t.same([...found].sort(), ['a', 'b', 'c']);
    t.not(found[0], 'c', 'it has no share');
  }
  t.end();
});

t.test('a breaker that opens takes the share away in the same step, a hold too (SPEC 23)', (t) => {
  const w = split({ a: 1, b: 1 });
  t.same(sharesOf(w.state, 'telemetry'), [
    { provider: 'a', part: 0.5 },
    { provider: 'b', part: 0.5 },
  ]);
  w.dispatch({
    kind: 'published',
    provider: 'a',
    outcome: { kind: 'retryable', cause: 'connection-refused', detail: '' },
    latencyMs: 1,
    bytes: 100,
    probe: false,
  });
  t.same(sharesOf(w.state, 'telemetry'), [{ provider: 'b', part: 1 }]);
  w.dispatch({ kind: 'hold', provider: 'b', reason: 'manual' });
  t.same(sharesOf(w.state, 'telemetry'), [{ provider: 'c', part: 1 }], 'nobody else may');
  w.dispatch({ kind: 'hold', provider: 'c', reason: 'manual' });
  t.same(sharesOf(w.state, 'telemetry'), []);
  t.end();
});

t.test('explain shows the shares, and those of copies (SPEC 23)', (t) => {
  const shares = (w: World): Record<string, number> =>
    Object.fromEntries(explain(w.state, 'telemetry').map(({ provider, share }) => [provider, share]));
  t.same(shares(split({ a: 3, b: 1 })), { a: 0.75, b: 0.25, c: 0 });
  const policy = policyOf({ streams: { telemetry: { topics: ['#'], redundancy: 2 } } });
  const copies = new World({ policy, providers: [facts('a'), facts('b'), facts('c')] });
  copies.run(1000);
  t.same(Object.values(shares(copies)).sort(), [0, 1, 1]);
  t.end();
});

t.test('a stream returns by and by, and at once when the policy is new (SPEC 24)', (t) => {
  const preferring = (first: string) =>
    policyOf({ streams: { telemetry: { topics: ['#'], preferred_providers: [first] } } });
  const w = new World({ policy: preferring('a'), providers: [facts('a'), facts('b')] });
  const partOfA = (): number =>
    sharesOf(w.state, 'telemetry').find(({ provider }) => provider === 'a')?.part ?? 0;
  w.run(5000);
  t.equal(partOfA(), 1);
  w.weather('a', refuse);
  w.run(5000);
  t.equal(partOfA(), 0);
  w.weather('a', accept);
  const seen: number[] = [];
  for (let i = 0; i < 400; i++) {
    w.run(100);
    if (seen.at(-1) !== partOfA()) seen.push(partOfA());
  }
  t.same(seen, [0, 0.1, 0.5, 1]);
  w.dispatch({ kind: 'policy', policy: preferring('b') });
  t.same(sharesOf(w.state, 'telemetry'), [{ provider: 'b', part: 1 }]);
  t.end();
});
