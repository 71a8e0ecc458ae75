/** The one rule for repeated records, as cases: known versions, new versions, and the verdict (I6). */
import t from 'tap';
import type { ConflictPolicy } from '../../../../router/ledger/rules/conflict-policy.ts';
import { RepeatedRecords, stateAfter } from '../../../../router/ledger/rules/repeated.ts';
import { absorb, EMPTY_STREAM, type StreamState, withdraw } from '../../../../router/ledger/rules/rules.ts';
import type { HeldVersion } from '../../../../router/ledger/types.ts';
import { entry, record } from '../envelopes.ts';

const ONE = [{ first: 1, last: 1 }];
const SEEN = absorb(EMPTY_STREAM, entry({ seqs: [1] }).envelope, { verified: true }).state;

interface Case {
  name: string;
  policy: ConflictPolicy;
  /** Default: id 1 was seen. */
  state?: StreamState;
  /** Text of the version that stands; null for none. */
  held: string | null;
  aside?: string[];
  /** Texts of one envelope's records, all under id 1. */
  comes: string[];
  outcome: { duplicates: number; conflicts: number };
  /** Texts kept aside; `*` marks the one that stood. */
  kept?: string[];
  displaced?: number[];
  quarantined?: number[];
  winners?: string[];
}

const DUPLICATE = { duplicates: 1, conflicts: 0 };
const CONFLICT = { duplicates: 0, conflicts: 1 };

const CASES: Case[] = [
  { name: 'the same again', policy: 'keep-first', held: 'a', comes: ['a'], outcome: DUPLICATE },
  {
    name: 'another content, first kept',
    policy: 'keep-first',
    held: 'a',
    comes: ['b'],
    outcome: CONFLICT,
    kept: ['b'],
  },
  {
    name: 'a conflict that is kept aside comes again',
    policy: 'keep-first',
    held: 'a',
    aside: ['b'],
    comes: ['b'],
    outcome: DUPLICATE,
  },
  {
    name: 'a record that has left cannot be compared',
    policy: 'keep-first',
    state: withdraw(SEEN, ONE, 'retention'),
    held: null,
    comes: ['b'],
    outcome: DUPLICATE,
  },
  {
    name: 'an erased record does not come back as a version',
    policy: 'keep-first',
    state: withdraw(SEEN, ONE, 'erasure'),
    held: 'a',
    comes: ['b'],
    outcome: DUPLICATE,
  },
  {
    name: 'the last one wins',
    policy: 'last-write-wins',
    held: 'a',
    comes: ['b'],
    outcome: CONFLICT,
    kept: ['a'],
    displaced: [1],
    winners: ['b'],
  },
  {
    name: 'of two that win in one envelope, the last one is stored',
    policy: 'last-write-wins',
    held: 'a',
    comes: ['b', 'c', 'b'],
    outcome: { duplicates: 1, conflicts: 2 },
    kept: ['a', 'b'],
    displaced: [1],
    winners: ['c'],
  },
  {
    name: 'neither is trusted',
    policy: 'quarantine',
    held: 'a',
    comes: ['b', 'a', 'c'],
    outcome: { duplicates: 1, conflicts: 2 },
    kept: ['a*', 'b', 'c'],
    displaced: [1],
    quarantined: [1],
  },
  {
    name: 'an id in quarantine, whose record the engine still finds',
    policy: 'quarantine',
    state: withdraw(SEEN, ONE, 'quarantine'),
    held: 'a',
    aside: ['a', 'b'],
    comes: ['a', 'c'],
    outcome: { duplicates: 1, conflicts: 1 },
    kept: ['c'],
  },
];

for (const one of CASES) {
  t.test(`${one.policy}: ${one.name}`, async (t) => {
    const { state = SEEN, aside = [], kept = [], displaced = [], quarantined = [], winners = [] } = one;
    const rule = new RepeatedRecords<string>(() => one.policy);
    const known = { held: one.held === null ? null : version(one.held), aside: aside.map(version) };
    rule.know('s', state, 1, known);
    const came = entry({ seqs: [1] }, 'azure');
    came.envelope.records = one.comes.map((text) => record(1, text));
    const absorption = absorb(state, came.envelope, came);
    const settled = rule.settle('s', came, absorption);
    t.match(settled, { displaced, quarantined });
    t.equal(settled.duplicates.length, one.outcome.duplicates);
    t.equal(settled.inConflict.length, one.outcome.conflicts);
    t.strictSame(
      settled.aside.map(({ version: { payload }, stood }) => `${textOf(payload)}${stood ? '*' : ''}`),
      kept,
    );
    t.strictSame(
      settled.winners.map(({ payload }) => textOf(payload)),
      winners,
    );
    const after = stateAfter(absorption.state, settled);
    t.match(after, one.outcome);
    t.equal(after.withdrawn.quarantine.size, state.withdrawn.quarantine.size + quarantined.length);
  });
}

t.test('a record that an earlier entry of the commit brings is one that is held', async (t) => {
  const rule = new RepeatedRecords<string>(() => 'last-write-wins');
  const first = entry({ seqs: [1], text: 'a' }, 'aws');
  const second = entry({ seqs: [1], text: 'b' }, 'azure');
  const opening = absorb(EMPTY_STREAM, first.envelope, first);
  const closing = absorb(opening.state, second.envelope, second);
  rule.know('s', EMPTY_STREAM, 1, { held: null, aside: [] });
  t.match(rule.settle('s', first, opening), { inConflict: [], displaced: [] });
  const settled = rule.settle('s', second, closing);
  t.match(settled, { displaced: [1], aside: [{ seq: 1, stood: false, version: { source: 'aws' } }] });
});

t.test('an id that the engine did not load is a bug, not a new record', async (t) => {
  const rule = new RepeatedRecords<string>(() => 'keep-first');
  rule.know('s', SEEN, 2, { held: null, aside: [] });
  const came = entry({ seqs: [1] });
  t.throws(() => rule.settle('s', came, absorb(SEEN, came.envelope, came)), /was not loaded/);
});

function version(text: string): HeldVersion {
  const { device, topic, payload, monoMs } = record(1, text);
  return { device, topic, payload, monoMs, source: 'aws', receivedWallMs: 1000, sentAs: null };
}

function textOf(payload: Uint8Array): string {
  return Buffer.from(payload).toString();
}
