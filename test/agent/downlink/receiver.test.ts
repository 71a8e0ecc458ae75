import { generateKeyPairSync } from 'node:crypto';
import t from 'tap';
import { ReceiptReceiver, type ReceiptResult, type ReceiptTrust } from '../../../agent/downlink/receiver.ts';
import { ReceiptForm } from '../../../router/receipts/form.ts';
import { createLogger } from '../../../shared/log.ts';
import { type Receipt, receiptJson } from '../../../shared/receipt.ts';
import { signDocument } from '../../../shared/signing/document.ts';
import { signerOf } from '../../../shared/signing/signature.ts';
import { ManualClock } from '../../manual-clock.ts';
import { FORM, FORM_WITH_COPY, ROUTER } from '../../router/receipts/support.ts';
import { TRUST, trustOf } from './support.ts';

const ANY = trustOf('any', ROUTER.publicKey);
const STRANGER = generateKeyPairSync('ed25519');
const FORGER = new ReceiptForm({ signer: signerOf(STRANGER.privateKey), unsignedCopy: false });
const NOW_MS = 1_795_000_000_000;

function receiver(trust: ReceiptTrust = TRUST) {
  const applied: Receipt[] = [];
  const newest: boolean[] = [];
  const lines: string[] = [];
  const state: { wallMs: number | null; trust: ReceiptTrust } = { wallMs: null, trust };
  const clock = new ManualClock();
  const one = new ReceiptReceiver({
    gateway: 'gw-1',
    tracker: {
      apply: (receipt: Receipt, isNewest?: boolean) => {
        applied.push(receipt);
        newest.push(isNewest ?? true);
      },
    },
    trust: { accept: trust.accept, keyOf: (keyId) => state.trust.keyOf(keyId) },
    trustedWallMs: () => state.wallMs,
    clock,
    log: createLogger({ level: 'info', levels: {} }, { write: (line) => lines.push(line) }),
  });
  return { one, applied, newest, state, clock, lines };
}

function receiptOf(version: number, gateway = 'gw-1'): Receipt {
  const stream = {
    epoch: '1-aa',
    stream: 's',
    to: 9,
    missing: [],
    givenUp: [],
    givenUpFrom: 1,
    sealedAt: null,
  };
  return { gateway, version, streams: [stream] };
}

function signed(version: number, gateway = 'gw-1', form = FORM): Uint8Array {
  return Buffer.from(form.text(receiptOf(version, gateway)));
}

/** As routers before 0.2.0 send it. */
function plain(version: number, gateway = 'gw-1'): Uint8Array {
  return Buffer.from(JSON.stringify({ receipt: receiptJson(receiptOf(version, gateway)) }));
}

/** A signed receipt, changed. */
function changed(version: number, change: (signed: Record<string, unknown>) => object): Uint8Array {
  const { signed: document } = FORM.body(receiptOf(version));
  return Buffer.from(JSON.stringify({ receipt: null, signed: change({ ...document }) }));
}

function resigned(type: 'receipt' | 'policy', head: { gateway: string; version: number }, content: object) {
  const document = { ...head, content: Buffer.from(JSON.stringify(content)) };
  return Buffer.from(JSON.stringify({ signed: signDocument([signerOf(ROUTER.privateKey)], type, document) }));
}

t.test('of each downlink the newer version counts; an older one is passed over', async (t) => {
  const { one, applied, newest } = receiver();
  t.equal(one.receive('router', signed(5)), 'applied');
  t.equal(one.receive('other', signed(4)), 'applied');
  t.equal(one.receive('router', signed(5)), 'old');
  t.equal(one.receive('other', signed(6)), 'applied');
  t.same(
    applied.map(({ version }) => version),
    [5, 4, 6],
  );
  t.same(applied[0], receiptOf(5), 'as it was sent');
  t.same(newest, [true, false, true]);
  t.equal(one.versionOf('other'), 6);
  t.match(one.counts, { applied: 3, old: 1, malformed: 0, implausible: 0, foreign: 0 });
  t.same(one.unverified, { unsigned: 0, 'unknown-key': 0 });
});

t.test('a version far ahead of the clock is dropped, and a poisoned downlink heals', async (t) => {
  const { one, state } = receiver(ANY);
  const far = plain(Number.MAX_SAFE_INTEGER);
  t.equal(one.receive('shadow', far), 'applied', 'a clock from 1970 cannot tell');
  t.equal(one.receive('shadow', signed(NOW_MS)), 'old', 'poisoned');
  t.equal(one.receive('router', signed(NOW_MS)), 'applied', 'another downlink is not');
  state.wallMs = NOW_MS;
  t.equal(one.versionOf('shadow'), 0);
  t.equal(one.again('shadow'), 'applied', 'healed, by the receipt that was passed over');
  t.equal(one.receive('shadow', far), 'implausible');
  t.equal(one.receive('shadow', signed(NOW_MS + 1000)), 'applied');
  t.equal(one.counts.implausible, 1);
  t.equal(receiver().one.receive('shadow', far), 'unsigned', 'signed receipts alone: never poisoned');
});

/** What a stranger, or a router of before, may write into any carrier, each with its result. */
const HOSTILE: ReadonlyArray<readonly [name: string, body: Uint8Array, result: ReceiptResult]> = [
  ['forged by another key', signed(99, 'gw-1', FORGER), 'unknown-key'],
  [
    'forged under the router’s key id',
    changed(99, (document) => ({
      ...document,
      signatures: [
        {
          keyid: signerOf(ROUTER.privateKey).keyId,
          sig: FORGER.body(receiptOf(99)).signed.signatures[0]?.sig,
        },
      ],
    })),
    'signature',
  ],
  [
    'with another payload',
    changed(98, (document) => ({ ...document, payload: FORM.body(receiptOf(99)).signed.payload })),
    'signature',
  ],
  ['stripped of its signature', plain(99), 'unsigned'],
  ['of another gateway', signed(99, 'gw-2'), 'foreign'],
  ['of another gateway, stripped', plain(99, 'gw-2'), 'unsigned'],
  ['far ahead', signed(NOW_MS + 2 * 86_400_000), 'implausible'],
  ['replayed', signed(5), 'old'],
  ['older', signed(4), 'old'],
  ['a policy', resigned('policy', { gateway: 'gw-1', version: 99 }, receiptJson(receiptOf(99))), 'malformed'],
  [
    'a policy that says that it is a receipt',
    changed(99, (document) => {
      const policy = signDocument([signerOf(ROUTER.privateKey)], 'policy', {
        gateway: 'gw-1',
        version: 99,
        content: Buffer.from(JSON.stringify(receiptJson(receiptOf(99)))),
      });
      return { ...document, payload: policy.payload, signatures: policy.signatures };
    }),
    'signature',
  ],
  [
    'with another gateway inside',
    resigned('receipt', { gateway: 'gw-1', version: 99 }, receiptJson(receiptOf(99, 'gw-2'))),
    'malformed',
  ],
  [
    'with another version inside',
    resigned('receipt', { gateway: 'gw-1', version: 99 }, receiptJson(receiptOf(98))),
    'malformed',
  ],
  [
    'with one key twice',
    changed(99, ({ signatures, ...rest }) => ({
      ...rest,
      signatures: [signatures, signatures].flat(),
    })),
    'malformed',
  ],
  ['no JSON', Buffer.from('<html>'), 'malformed'],
];

for (const [name, body, result] of HOSTILE) {
  t.test(`${name}: frees nothing, and the genuine one is taken`, async (t) => {
    const { one, applied, state, lines } = receiver();
    state.wallMs = NOW_MS;
    t.equal(one.receive('shadow', signed(5)), 'applied');
    t.equal(one.receive('shadow', body), result);
    t.equal(one.receive('shadow', body), result);
    t.equal(applied.length, 1);
    t.equal(one.versionOf('shadow'), 5);
    t.equal(one.counts[result], 1, 'one that stays in its place counts once');
    t.equal(lines.length, result === 'old' ? 0 : 1);
    t.notMatch(lines.join(), /"sig"|BEGIN/);
    t.equal(one.receive('shadow', signed(6)), 'applied', 'heals');
  });
}

t.test('what is no receipt of ours is counted and dropped', async (t) => {
  const { one, applied } = receiver(ANY);
  const wrong = [
    '',
    '<html>',
    'null',
    '[]',
    '{}',
    '{"receipt":{"v":2}}',
    '{"signed":1}',
    '{"signed":{}}',
  ].map((text) => Buffer.from(text));
  wrong.push(Buffer.from([0xff, 0xfe]), Buffer.alloc(200_000, 0x20));
  for (const bytes of wrong) t.equal(one.receive('router', bytes), 'malformed');
  t.equal(one.receive('router', plain(7, 'gw-2')), 'foreign');
  t.equal(applied.length, 0);
  t.match(one.counts, { applied: 0, old: 0, malformed: wrong.length, implausible: 0, foreign: 1 });
  t.equal(one.receive('router', plain(1)), 'applied', 'and the next good one is taken');
});

t.test(
  'any: unsigned receipts and those of unknown keys count and are counted, forged ones do not',
  async (t) => {
    const { one, applied } = receiver(ANY);
    t.equal(one.receive('a', plain(5)), 'applied', 'a router from before');
    t.equal(one.receive('a', signed(6, 'gw-1', FORGER)), 'applied');
    t.equal(one.receive('a', signed(7)), 'applied');
    t.same(one.unverified, { unsigned: 1, 'unknown-key': 1 });
    for (const name of ['forged under the router’s key id', 'with another payload']) {
      const forged = HOSTILE.find(([one]) => one === name)?.[1] ?? new Uint8Array();
      t.equal(one.receive('a', forged), 'signature', name);
    }
    t.equal(applied.length, 3);
  },
);

t.test('any: an old router writes beside the signed receipt of a new one', async (t) => {
  const { one, applied } = receiver(ANY);
  // A shadow merges what both write.
  const merged = (signedVersion: number, plainVersion: number): Uint8Array => {
    const { signed: document } = FORM.body(receiptOf(signedVersion));
    return Buffer.from(JSON.stringify({ signed: document, receipt: receiptJson(receiptOf(plainVersion)) }));
  };
  t.equal(one.receive('shadow', merged(5, 5)), 'applied');
  t.equal(one.receive('shadow', merged(5, 8)), 'applied', 'the newer one');
  t.equal(one.receive('shadow', merged(9, 8)), 'applied');
  t.same(
    applied.map(({ version }) => version),
    [5, 8, 9],
  );
  t.equal(receiver().one.receive('shadow', merged(5, 8)), 'applied');
  const strict = receiver();
  strict.one.receive('shadow', merged(5, 5));
  t.equal(strict.one.receive('shadow', merged(5, 8)), 'old', 'signed: the unsigned one never counts');
});

t.test('an agent from before reads the unsigned copy', async (t) => {
  const body: { receipt?: unknown } = JSON.parse(FORM_WITH_COPY.text(receiptOf(5)));
  t.same(body.receipt, receiptJson(receiptOf(5)), 'the member `receipt`, as before');
  t.equal(JSON.parse(FORM.text(receiptOf(5))).receipt, null);
});

t.test('a dropped receipt counts once its key is known', async (t) => {
  const { one, state, applied } = receiver(trustOf('signed'));
  t.equal(one.again('twin'), null);
  t.equal(one.receive('twin', signed(5)), 'unknown-key');
  t.equal(one.again('twin'), 'unknown-key');
  t.equal(one.counts['unknown-key'], 1);
  state.trust = TRUST;
  t.equal(one.again('twin'), 'applied');
  t.equal(one.again('twin'), null);
  t.equal(applied.length, 1);
});

/** Keys that note how often they are asked for, which comes before each verification. */
function watched(): { trust: ReceiptTrust; asked: () => number } {
  let asked = 0;
  const keyOf: ReceiptTrust['keyOf'] = (keyId) => {
    asked += 1;
    return TRUST.keyOf(keyId);
  };
  return { trust: { accept: 'signed', keyOf }, asked: () => asked };
}

t.test('a flood: one verification for each receipt at most, none for most, few lines (I10)', async (t) => {
  const { trust, asked } = watched();
  const { one, lines, clock, state } = receiver(trust);
  state.wallMs = NOW_MS;
  t.equal(one.receive('a', signed(50)), 'applied');
  t.equal(asked(), 1);
  for (let version = 1; version <= 500; version++) {
    one.receive('a', signed((version % 50) + 1));
    one.receive('a', signed(2000 + version, 'gw-2'));
    one.receive('a', plain(2000 + version));
    one.receive('a', signed(NOW_MS + 90_000_000 + version));
  }
  t.equal(asked(), 1, 'old, foreign, unsigned and implausible ones are not verified');
  const forged = HOSTILE.find(([name]) => name === 'forged under the router’s key id')?.[1];
  const text = Buffer.from(forged ?? '').toString();
  for (let i = 0; i < 500; i++) one.receive('a', Buffer.from(`${text}${' '.repeat(i)}`));
  t.equal(asked(), 501);
  t.equal(one.counts.signature, 500);
  t.equal(lines.length, 4, 'one for each reason');
  clock.advance(60_000);
  one.receive('a', Buffer.from(`${text}${' '.repeat(600)}`));
  t.match(JSON.parse(lines[4] ?? ''), { event: 'downlink.unverified', reason: 'signature', suppressed: 499 });
  t.equal(one.receive('a', signed(51)), 'applied');
});
