/** Failover cases as data: each file in cases/ is a set of them, and an operator can add one. */
import t from 'tap';
import { allCases, casesOf } from './case.ts';
import { problemsOf } from './judge.ts';

const files = allCases();

for (const { file, cases } of files) {
  t.test(file, (t) => {
    for (const wanted of cases) t.same(problemsOf(wanted), [], wanted.name);
    t.end();
  });
}

t.test('there are at least forty, and no two have one name', (t) => {
  const names = files.flatMap(({ cases }) => cases.map(({ name }) => name));
  t.ok(names.length >= 40, `${names.length}`);
  t.equal(new Set(names).size, names.length);
  t.end();
});

t.test('one seed, one run (I11)', (t) => {
  const [lossy] = casesOf(
    '[{name: x, clauses: [15], lasts: 20s, providers: {a: , b: }, timeline: [{at: 1s, a: loss 50%}], switches: []}]',
  );
  const judged = (seed: number): string[] => (lossy ? problemsOf({ ...lossy, seed }) : []);
  t.equal(judged(1).length, 1, 'it switches');
  t.same(judged(1), judged(1));
  t.not(judged(1).join(), judged(2).join());
  t.end();
});

t.test('a case that the core does not meet says where, and one that is not readable is refused', (t) => {
  const case_ = (rest: string): string =>
    `[{name: x, clauses: [1], lasts: 5s, providers: {a: , b: }, ${rest}}]`;
  const judged = (rest: string): string[] => casesOf(case_(rest)).flatMap(problemsOf);
  t.same(judged('expect: [{at: 2s, chosen: b, health: {a: open}, waiting: 1}]'), [
    'at 2s telemetry chosen: "a", not "b"',
    'at 2s health of a: "healthy", not "open"',
    'at 2s waiting: 0, not 1',
  ]);
  t.same(judged('expect: [{from: 1s, until: 2s, sent_max: {a: 3}, sent_min: {b: 1}}]'), [
    '1s..2s sent to a: 20, at most 3',
    '1s..2s sent to b: 0, at least 1',
  ]);
  t.same(judged('switches: []'), ['switches: ["100ms telemetry: null > a start"], not []']);
  t.throws(() => judged('timeline: [{at: 1s, c: refuse}]'), { message: '1s: no provider c' });
  t.throws(() => judged('timeline: [{at: 1s, a: drizzle}]'), { message: 'not weather: "drizzle"' });
  t.throws(() => judged('timeline: [{at: 9s, a: ok}]'), { message: '9s is after the end of the case' });
  t.throws(() => judged('switches: [aws to azure]'), /not a switch/);
  t.throws(() => judged('expect: [{at: 1s, choosen: a}]'));
  t.end();
});
