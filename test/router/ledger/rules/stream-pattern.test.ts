import t from 'tap';
import { conflictRules } from '../../../../router/ledger/options.ts';
import { conflictPolicyOf } from '../../../../router/ledger/rules/conflict-policy.ts';
import { matchesPattern } from '../../../../router/ledger/rules/stream-pattern.ts';

t.test('* stands for any characters, also none', async (t) => {
  for (const [pattern, matching, others] of [
    ['alarms', ['alarms'], ['alarm', 'alarms2', '']],
    ['*', ['', 'a', 'alarms'], []],
    ['al*', ['al', 'alarms'], ['a', 'xal']],
    ['*ms', ['ms', 'alarms'], ['alarm']],
    ['a*a', ['aa', 'aba', 'aaa'], ['a', 'ab']],
    ['a*b*c', ['abc', 'axbxc', 'abbc'], ['ac', 'acb', 'abcd']],
    ['*-b*', ['a-b', '-b-'], ['ab']],
  ] as const) {
    for (const stream of matching) t.ok(matchesPattern(pattern, stream), `${pattern} ${stream}`);
    for (const stream of others) t.notOk(matchesPattern(pattern, stream), `not ${pattern} ${stream}`);
  }
  t.notOk(
    matchesPattern(`${'a*'.repeat(31)}b`, 'a'.repeat(64)),
    'in a time that shows no power of its length',
  );
});

t.test('the first rule that matches counts; without one the first version stands', async (t) => {
  const policyOf = conflictPolicyOf(
    conflictRules.parse([
      { streams: 'alarms', policy: 'quarantine' },
      { streams: 'a*', policy: 'last-write-wins' },
    ]),
  );
  t.strictSame(['alarms', 'audio', 'video'].map(policyOf), ['quarantine', 'last-write-wins', 'keep-first']);
  t.notOk(conflictRules.safeParse([{ streams: 'Alarms', policy: 'quarantine' }]).success);
});
