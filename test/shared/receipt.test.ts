import t from 'tap';
import {
  committedBy,
  coveredBy,
  type Receipt,
  readReceipt,
  receiptJson,
  type StreamReceipt,
} from '../../shared/receipt.ts';

const RECEIPT: Receipt = {
  gateway: 'gw-1',
  version: 1_795_000_000_000,
  streams: [
    {
      epoch: '3-9f3a61c2',
      stream: 'telemetry',
      to: 20,
      missing: [
        { first: 3, last: 3 },
        { first: 7, last: 9 },
      ],
      givenUp: [{ first: 1, last: 2 }],
      givenUpFrom: 1,
      sealedAt: 20,
    },
  ],
};

t.test('as it travels, and back', async (t) => {
  const text = JSON.stringify(receiptJson(RECEIPT));
  t.same(readReceipt(JSON.parse(text)), { receipt: RECEIPT });
  const more = { ...receiptJson(RECEIPT), policy: 'of a newer router' };
  t.same(readReceipt(more), { receipt: RECEIPT }, 'what is not known is passed over');
});

t.test('what is covered: up to `to`, but for what is missing', async (t) => {
  const [stream] = RECEIPT.streams;
  if (!stream) return;
  t.same(
    [...coveredBy(stream).ranges()],
    [
      { first: 1, last: 2 },
      { first: 4, last: 6 },
      { first: 10, last: 20 },
    ],
  );
  t.same([...coveredBy({ ...stream, to: 0, missing: [] }).ranges()], []);
});

t.test('what is committed: what is covered, but for what is given up or may be', async (t) => {
  const [stream] = RECEIPT.streams;
  if (!stream) return;
  const committed = (receipt: StreamReceipt) =>
    [...committedBy(receipt).ranges()].map(({ first, last }) => [first, last]);
  t.same(committed(stream), [
    [4, 6],
    [10, 20],
  ]);
  t.same(committed({ ...stream, givenUp: [{ first: 11, last: 12 }], givenUpFrom: 6 }), [
    [6, 6],
    [10, 10],
    [13, 20],
  ]);
  const cut = { ...RECEIPT, streams: [{ ...stream, givenUp: [], givenUpFrom: 3 }] };
  t.same(readReceipt(JSON.parse(JSON.stringify(receiptJson(cut)))), { receipt: cut });
});

t.test('anything else is refused', async (t) => {
  const json = JSON.parse(JSON.stringify(receiptJson(RECEIPT)));
  const [stream] = json.streams;
  const wrong: Record<string, unknown> = {
    nothing: undefined,
    text: 'receipt',
    version: { ...json, version: '5' },
    'version 0': { ...json, version: 0 },
    format: { ...json, v: 2 },
    gateway: { ...json, gateway: 'GW' },
    'a range backwards': { ...json, streams: [{ ...stream, missing: [[9, 7]] }] },
    'ranges that overlap': {
      ...json,
      streams: [
        {
          ...stream,
          missing: [
            [1, 5],
            [5, 6],
          ],
        },
      ],
    },
    'a seq of 0': { ...json, streams: [{ ...stream, missing: [[0, 1]] }] },
    'too many streams': { ...json, streams: Array.from({ length: 65 }, () => stream) },
    'too many ranges': {
      ...json,
      streams: [{ ...stream, missing: Array.from({ length: 1001 }, (_, i) => [i * 2 + 1, i * 2 + 1]) }],
    },
  };
  for (const [title, value] of Object.entries(wrong)) t.hasProp(readReceipt(value), 'problem', title);
});
