/**
 * Documents from the wire, one row for each reader: one that is longer than it may be is not parsed, and
 * thousands of mistakes are told as few, in few words (I10).
 */
import t from 'tap';
import { z } from 'zod';
import { ReceiptReceiver } from '../../agent/downlink/receiver.ts';
import { readShadow } from '../../agent/downlink/shadow.ts';
import { holdRequest } from '../../agent/holds/hold-file.ts';
import { parseFleetQuery } from '../../router/admin/fleet.ts';
import { maintenanceRoutes } from '../../router/admin/maintenance.ts';
import { deliveryOf } from '../../router/sources/sqs/delivery.ts';
import { createLogger } from '../../shared/log.ts';
import { RECEIPT_BYTES_MAX, readReceipt, receiptJson } from '../../shared/receipt.ts';
import { openDocument } from '../../shared/signing/document.ts';
import {
  receiptInTwin,
  receiptInUpdate,
  TWIN_BYTES_MAX,
  TWIN_RECEIPT,
  twinPieces,
} from '../../shared/twin-receipt.ts';
import { problemOf, wireJson, wireList } from '../../shared/wire-json.ts';
import { receipt, trustOf } from '../agent/downlink/support.ts';
import { ManualClock } from '../manual-clock.ts';

const WRONG = 20_000;
/** A list is one mistake; a document has few fields beside. */
const ISSUES_MAX = 10;
/** Of 200 characters, each of which JSON may escape. */
const PROBLEM_CHARS_MAX = 450;
const ROOM = 'x'.repeat(2 ** 23);

/** `read` tells whether the document with `more` in it was understood; at `bytesMax` it is. */
const LONG: ReadonlyArray<{ name: string; bytesMax: number; read(more: string): boolean }> = [
  {
    name: 'a receipt of any carrier',
    bytesMax: RECEIPT_BYTES_MAX,
    read(more) {
      const receiver = receiverOf();
      const body = JSON.stringify({ receipt: receiptJson(receipt(5)), more });
      return receiver.receive('any', Buffer.from(body)) === 'applied';
    },
  },
  {
    name: 'a shadow document of AWS',
    bytesMax: 4 * RECEIPT_BYTES_MAX,
    read(more) {
      const state = { desired: { receipt: receiptJson(receipt(5)) }, reported: more };
      const { version, body } = readShadow(Buffer.from(JSON.stringify({ version: 7, state })));
      return version === 7 && receiverOf().receive('shadow', body) === 'applied';
    },
  },
  {
    name: 'a twin of Azure',
    bytesMax: TWIN_BYTES_MAX,
    read: (more) =>
      receiptInTwin(json({ desired: { [TWIN_RECEIPT]: twinPieces('R') }, reported: more })) === 'R',
  },
  {
    name: 'an update of a twin',
    bytesMax: TWIN_BYTES_MAX,
    read: (more) => receiptInUpdate(json({ [TWIN_RECEIPT]: twinPieces('R'), more })) === 'R',
  },
  {
    name: 'a message of the router’s queue',
    bytesMax: 4 * 2 ** 20,
    read(more) {
      const Body = JSON.stringify({ data: 'AAAA', topic: 'headgate/gw-1/telemetry', more });
      return deliveryOf('aws', { Body }).problem === undefined;
    },
  },
  {
    name: 'the cursor of a fleet’s page',
    bytesMax: 768,
    read(more) {
      const after = json(['gw-1', '1-aa', 'telemetry', more]).toString('base64url');
      return typeof parseFleetQuery({ after }) === 'object';
    },
  },
];

for (const { name, bytesMax, read } of LONG) {
  t.test(`longer than it may be: ${name}`, (t) => {
    t.ok(read(''), 'a short one is read');
    t.ok(read(ROOM.slice(0, bytesMax / 2)), 'one within');
    t.notOk(read(ROOM.slice(0, bytesMax)), 'one beyond');
    t.end();
  });
}

const zeros: readonly number[] = Array.from({ length: WRONG }, () => 0);
const many = Object.fromEntries(zeros.map((_, i) => [`k${i}`, i]));
const { changes: byPath } = maintenanceRoutes({
  dataDir: '.',
  feeds: [],
  onCommitElsewhere: () => undefined,
});

/** Each reads a document of many mistakes, and tells the problem. */
const MISTAKEN: Readonly<Record<string, () => unknown>> = {
  'streams of a receipt': () => readReceipt({ ...receiptJson(receipt(5)), streams: zeros }),
  'ranges of a receipt': () =>
    readReceipt({
      ...receiptJson(receipt(5)),
      streams: [{ epoch: '1-aa', stream: 's', to: 5, missing: zeros, given_up: zeros, sealed_at: null }],
    }),
  'signatures of a document': () =>
    openDocument({ payloadType: 't', payload: 'AAAA', signatures: zeros }, 'receipt'),
  'texts of a rule': () => deliveryOf('aws', { Body: JSON.stringify({ why: zeros, more: many }) }).problem,
  'keys of a notice of maintenance': () => byPath['/v1/maintenance']?.put(many),
  'keys of a hold': () => problemOf(holdRequest.safeParse(many).error ?? new z.ZodError([])),
  'a list': () => problemOf(wireList(z.string(), 5).safeParse(zeros).error ?? new z.ZodError([])),
};

for (const [name, read] of Object.entries(MISTAKEN)) {
  t.test(`${WRONG} mistakes: ${name}`, async (t) => {
    let issues = 0;
    const before = z.config().customError;
    z.config({
      customError: () => {
        issues += 1;
        return undefined;
      },
    });
    t.teardown(() => z.config({ customError: before }));
    const told = JSON.stringify(await read());
    t.ok(issues <= ISSUES_MAX, `${issues} issues`);
    t.ok(told.length <= PROBLEM_CHARS_MAX, `${told.length} characters: ${told.slice(0, PROBLEM_CHARS_MAX)}`);
  });
}

t.test('JSON from the wire: the value, or nothing', (t) => {
  t.same(wireJson('[1]', 3), [1]);
  t.equal(wireJson('[1] ', 3), undefined);
  t.equal(wireJson(Buffer.from('{'), 3), undefined);
  t.equal(wireJson(new Uint8Array(), 3), undefined);
  t.end();
});

function json(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value));
}

function receiverOf(): ReceiptReceiver {
  return new ReceiptReceiver({
    gateway: 'gw-1',
    tracker: { apply: () => undefined },
    trust: trustOf('any'),
    trustedWallMs: () => null,
    clock: new ManualClock(),
    log: createLogger({ level: 'silent', levels: {} }),
  });
}
