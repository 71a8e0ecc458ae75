/** Formats of earlier versions are read; formats that earlier versions cannot read differ from theirs. */
import { decode, encode } from 'cborg';
import t from 'tap';
import { decodeArrival, encodeArrival } from '../../../../router/ledger/jetstream/arrival-format.ts';
import {
  type CommitEntry,
  decodeCommit,
  encodeCommit,
} from '../../../../router/ledger/jetstream/log/commit-format.ts';
import { pageFolding, placeOf } from '../../../../router/ledger/jetstream/log/page-fold.ts';
import { streamFolding } from '../../../../router/ledger/jetstream/log/stream-fold.ts';
import { NOTHING_GIVEN_UP } from '../../../../router/ledger/rules/given-up.ts';
import { IntervalSet } from '../../../../shared/interval-set.ts';

const none = new Uint8Array();
const ids = IntervalSet.of([{ first: 1, last: 3 }]);
const KEY = { gateway: 'gw-1', epoch: '1-aa', stream: 'telemetry' };
const ENTRY: CommitEntry = {
  ...KEY,
  fresh: ids,
  parts: [17],
  storedBytes: 9,
  proof: null,
  givenUp: NOTHING_GIVEN_UP,
  sealedAt: null,
  duplicates: 2,
  aside: [{ seq: 2, message: 5, stood: false }],
  replaces: false,
  removal: null,
};
const commitOf = (...entries: CommitEntry[]) => ({
  number: 4,
  offset: 10,
  duplicates: 2,
  conflicts: 1,
  entries,
  contacts: [],
  bootClocks: [],
  isShared: false,
});

t.test('a commit in which no policy decided is written as it always was', async (t) => {
  const row = ['gw-1', '1-aa', 'telemetry', ids.encode(), [17], 9, null, null, 2, [2, 5]];
  const old = encode([1, 4, 10, 2, 1, [row], [], []]);
  t.ok(Buffer.from(encodeCommit(commitOf(ENTRY))).equals(old));
  t.strictSame(decodeCommit(old), commitOf(ENTRY));
});

t.test('the later reasons to give up are of a format that an earlier version refuses', async (t) => {
  const quota = { ...ENTRY, givenUp: { ...NOTHING_GIVEN_UP, quota: ids } };
  t.match(decode(encodeCommit(commitOf(quota))), [1]);
  t.strictSame(decodeCommit(encodeCommit(commitOf(quota))), commitOf(quota));
  const later = { ...ENTRY, givenUp: { ...NOTHING_GIVEN_UP, rejected: ids } };
  const bytes = encodeCommit(commitOf(later));
  t.match(decode(bytes), [4]);
  t.strictSame(decodeCommit(bytes), commitOf(later));
});

t.test('one in which a policy decided is of a format that an earlier version refuses', async (t) => {
  const aside = [
    { seq: 2, message: 5, stood: true },
    { seq: 2, message: 6, stood: false },
  ];
  for (const entry of [
    { ...ENTRY, replaces: true },
    { ...ENTRY, aside },
  ]) {
    const bytes = encodeCommit(commitOf(entry, ENTRY));
    t.match(decode(bytes), [2]);
    t.strictSame(decodeCommit(bytes), commitOf(entry, ENTRY));
  }
  t.throws(() => decodeCommit(encode([5, 1, 0, 0, 0, [], [], []])), { message: /newer Headgate/ });
});

t.test('one with which records leave is of a third', async (t) => {
  const gone = IntervalSet.of([{ first: 1, last: 1 }]);
  const moved = IntervalSet.of([{ first: 2, last: 3 }]);
  const removal = { why: 'erasure', ids: gone, gone, aside: [5], moved, bytes: 7 } as const;
  const bytes = encodeCommit(commitOf({ ...ENTRY, removal }, ENTRY));
  t.match(decode(bytes), [3]);
  t.strictSame(decodeCommit(bytes), commitOf({ ...ENTRY, removal }, ENTRY));
});

t.test('an earlier version reads a commit with shares, and what it wrote is in no share', async (t) => {
  const shared = { ...commitOf(ENTRY), isShared: true };
  t.match(decode(encodeCommit(shared)), [1, 4, 10, 2, 1, [], [], [], true]);
  t.strictSame(decodeCommit(encodeCommit(shared)), shared);
  const none = IntervalSet.empty().encode();
  const row = [
    'gw-1',
    '1-aa',
    't',
    none,
    [],
    0,
    null,
    null,
    0,
    [],
    false,
    [],
    ['retention', none, none, [], none],
  ];
  const old = decodeCommit(encode([3, 4, 10, 2, 1, [row], [], []]));
  t.match(old, { isShared: false, entries: [{ removal: { bytes: 0 } }] });
});

t.test('what is moved keeps its offsets, what left is nowhere', async (t) => {
  const places = [{ first: 1, last: 9, parts: [17], offset: 21 }];
  const page = pageFolding.apply(null, { places, replaces: false });
  const after = pageFolding.apply(page, {
    places: [],
    replaces: false,
    removal: {
      gone: IntervalSet.of([
        { first: 1, last: 1 },
        { first: 5, last: 5 },
      ]),
      moved: IntervalSet.of([
        { first: 2, last: 4 },
        { first: 8, last: 9 },
      ]),
      parts: [40],
    },
  });
  t.strictSame(after, [
    { first: 2, last: 4, parts: [40], offset: 22 },
    { first: 6, last: 7, parts: [17], offset: 26 },
    { first: 8, last: 9, parts: [40], offset: 28 },
  ]);
});

t.test('a stream from before there were policies', async (t) => {
  const old = ['gw-1', '1-aa', 'telemetry', 7, ids.encode(), none, none, none, null, 1, 1, [2, 5]];
  const item = streamFolding.decode(old);
  t.match(item, { ...KEY, made: 7, aside: [{ seq: 2, message: 5, stood: false }] });
  t.equal(item.replaced.size, 0);
  t.equal(item.state.withdrawn.quarantine.size, 0);
  t.strictSame(streamFolding.decode(streamFolding.encode(item)), item);
});

t.test('a page from before offsets were in it; what replaces cuts into what was there', async (t) => {
  const page = pageFolding.decode([
    [1, 9, 17, 18],
    [10, 19, [20], 100],
  ]);
  const places = [{ first: 4, last: 4, parts: [30], offset: 200 }];
  const after = pageFolding.apply(page, { places, replaces: true });
  t.match(placeOf(after, 3), { first: 1, last: 3, parts: [17, 18], offset: null });
  t.match(placeOf(after, 4), { parts: [30], offset: 200 });
  t.match(placeOf(after, 5), { first: 5, last: 9, parts: [17, 18], offset: null });
  const later = [{ first: 12, last: 13, parts: [31], offset: 201 }];
  const cut = pageFolding.apply(after, { places: later, replaces: true });
  t.match(placeOf(cut, 14), { first: 14, last: 19, offset: 104 });
  t.strictSame(pageFolding.decode(pageFolding.encode(cut)), cut);
});

t.test('topics and devices keep a U+FEFF at their start', async (t) => {
  const clock = { bootId: 'b', offsetMs: 5, quality: 'synchronised' as const };
  const payload = new TextEncoder().encode('\ufeffx');
  const record = { seq: 7, monoMs: 1, device: '\ufeffpump', topic: '\ufeffplant/a', payload };
  const bytes = encodeArrival({ source: 'aws', receivedWallMs: 1, clock, sentAs: null, records: [record] });
  const [read] = decodeArrival(bytes).records;
  t.match(read, { seq: 7, device: record.device, topic: record.topic });
  t.ok(Buffer.from(payload).equals(read?.payload ?? Buffer.of()));
});
