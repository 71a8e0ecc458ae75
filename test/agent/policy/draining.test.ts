/** Streams that left the policy drain under their last rules; the rules survive a file. */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { departed, rulesOf, withDraining } from '../../../agent/policy/draining.ts';
import { readRules, writeRules } from '../../../agent/policy/rules-file.ts';
import { type Policy, policySchema } from '../../../shared/policy/policy.ts';
import { testDir } from '../../test-dir.ts';

const REST = { rest: { topics: ['#'] } };

function policy(streams: object, zones?: Record<string, string[]>): Policy {
  const compliance = zones === undefined ? {} : { compliance: { data_residency: zones } };
  return policySchema.parse({ streams: { ...streams, ...REST }, ...compliance });
}

function draining(before: Policy, next: Policy): Policy {
  return withDraining(next, departed(rulesOf(before), next));
}

t.test('a stream that left keeps its copies and limits, and takes no topic', async (t) => {
  const before = policy({ pumps: { topics: ['pumps/#'], redundancy: 2, priority: 9, max_age: '1h' } });
  const next = policy({});
  t.equal(draining(before, before), before, 'nothing left');
  const { streams, ...rest } = draining(before, next);
  t.strictSame(Object.keys(streams), ['rest', 'pumps']);
  t.match(streams['pumps'], { redundancy: 2, priority: 9, max_age: 3_600_000 });
  t.strictSame(streams['pumps']?.topics, []);
  t.strictSame({ ...rest, streams: next.streams }, next, 'all else is the new policy');
});

t.test('its residency stays what it was, whatever becomes of the zone (I4)', async (t) => {
  const eu = { topics: ['eu/#'], data_residency: 'eu' };
  const before = policy({ pumps: eu }, { eu: ['eu-west-1', 'eu-central-1'] });
  const cases: Array<[string, Policy]> = [
    ['gone', policy({}, { us: ['us-east-1'] })],
    ['wider', policy({ other: eu }, { eu: ['eu-west-1', 'eu-central-1', 'us-east-1'] })],
    ['narrower', policy({ other: eu }, { eu: ['eu-west-1'] })],
    ['of another region', policy({ other: eu }, { eu: ['eu-west-1', 'us-east-1'] })],
  ];
  for (const [what, next] of cases) {
    const { streams, compliance } = draining(before, next);
    const zone = streams['pumps']?.data_residency ?? '';
    t.equal(zone, 'eu (of pumps)', what);
    t.strictSame(compliance.data_residency[zone], ['eu-west-1', 'eu-central-1'], what);
    t.match(compliance.data_residency, next.compliance.data_residency, what);
  }
  const same = draining(before, policy({}, { eu: ['eu-central-1', 'eu-west-1'] }));
  t.equal(same.streams['pumps']?.data_residency, 'eu');
});

t.test('a stream that comes back has the new rules again', async (t) => {
  const before = policy({ pumps: { topics: ['pumps/#'], redundancy: 2 } });
  const without = draining(before, policy({}));
  const again = policy({ pumps: { topics: ['p/#'] } });
  t.strictSame(draining(without, again), again);
});

t.test('the rules survive their file, and a foreign or broken file says so', async (t) => {
  const file = join(testDir(t), 'policy-rules.json');
  const all = {
    a: {
      topics: ['a/#'],
      linger: '1500ms',
      max_bytes: '3KiB',
      max_age: '90s',
      durability: { interval: '20ms' },
    },
    b: { topics: ['b'], mode: 'split', shares: { aws: 2, gcp: 1 }, durability: 'memory', seal: true },
    c: { topics: ['c'], data_residency: 'eu', redundancy: 3, until: 'receipt', when_full: 'reject' },
  };
  const rules = rulesOf(policy(all));
  t.strictSame(await readRules(file, 'gw-1'), { state: 'missing' });
  await writeRules(file, 'gw-1', rules);
  t.strictSame(await readRules(file, 'gw-1'), { state: 'ok', value: rules });
  t.match(await readRules(file, 'gw-2'), { state: 'damaged', problem: 'it is of gateway gw-1' });
  for (const text of ['', '{"streams":{"a":{"stream":{"topics":[]},"regions":null}}}', '{"streams":[]}']) {
    writeFileSync(file, text);
    t.match(await readRules(file, 'gw-1'), { state: 'damaged' }, text);
  }
});
