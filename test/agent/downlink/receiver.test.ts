import t from 'tap';
import { ReceiptReceiver, type ReceiptTrust } from '../../../agent/downlink/receiver.ts';
import { createLogger } from '../../../shared/log.ts';
import { type Receipt, receiptJson } from '../../../shared/receipt.ts';
import { ManualClock } from '../../manual-clock.ts';
import { FORM, FORM_WITH_COPY, ROUTER } from '../../router/receipts/support.ts';
import { FORGED, FORGER, HELD, HOSTILE, NOW_MS, plain } from './hostile.ts';
import { receipt, TRUST, trustOf } from './support.ts';

const ANY = trustOf('any', ROUTER.publicKey);

function receiver(trust: ReceiptTrust = TRUST) {
  const applied: Receipt[] = [];
  const newest: boolean[] = [];
  const lines: string[] = [];
  const state: { wallMs: number | null; trust: ReceiptTrust } = { wallMs: null, trust };
  const clock = new ManualClock();
  const one = new ReceiptReceiver({
    gateway: 'gw-1',
    tracker: {
      apply: (taken: Receipt, isNewest?: boolean) => {
        applied.push(taken);
        newest.push(isNewest ?? true);
      },
    },
    trust: { accept: trust.accept, keyOf: (keyId) => state.trust.keyOf(keyId) },
    trustedWallMs: () => state.wallMs,
    clock,
    log: createLogger({ level: 'info', levels: {} }, { write: (line) => lines.push(line) }),
  });
  const receive = (downlink: string, text: string) => one.receive(downlink, Buffer.from(text));
  return { one, receive, applied, newest, state, clock, lines };
}

function signed(version: number, gateway?: string): string {
  return FORM.text(receipt(version, gateway));
}

t.test('of each downlink the newer version counts; an older one is passed over', async (t) => {
  const { one, receive, applied, newest } = receiver();
  t.equal(receive('router', signed(5)), 'applied');
  t.equal(receive('other', signed(4)), 'old');
  t.equal(receive('router', signed(5)), 'old');
  t.equal(receive('other', signed(6)), 'applied');
  t.same(applied, [receipt(5), receipt(4), receipt(6)], 'as they were sent');
  t.same(newest, [true, false, true]);
  t.equal(one.versionOf('other'), 6);
  t.match(one.counts, { applied: 2, old: 2, malformed: 0, implausible: 0, foreign: 0 });
  t.same(one.unverified, { unsigned: 0, 'unknown-key': 0 });
});

t.test('a version far ahead of the clock is dropped, and a poisoned downlink heals', async (t) => {
  const { one, receive, state } = receiver(ANY);
  const far = plain(receipt(Number.MAX_SAFE_INTEGER));
  t.equal(receive('shadow', far), 'applied', 'a clock from 1970 cannot tell');
  t.equal(receive('shadow', signed(NOW_MS)), 'old', 'poisoned');
  t.equal(receive('router', signed(NOW_MS)), 'applied', 'another downlink is not');
  state.wallMs = NOW_MS;
  t.equal(one.versionOf('shadow'), 0);
  t.equal(one.again('shadow'), 'old', 'the router has told it already');
  t.equal(one.versionOf('shadow'), NOW_MS, 'healed, by the receipt that was passed over');
  t.equal(receive('shadow', far), 'implausible');
  t.equal(receive('shadow', signed(NOW_MS + 1000)), 'applied');
  t.equal(one.counts.implausible, 1);
  t.equal(receiver().receive('shadow', far), 'unsigned', 'signed receipts alone: never poisoned');
});

for (const { name, text, result } of HOSTILE) {
  t.test(`${name}: frees nothing, and the genuine one is taken`, async (t) => {
    const { one, receive, applied, state, lines } = receiver();
    state.wallMs = NOW_MS;
    t.equal(receive('shadow', signed(HELD)), 'applied');
    t.equal(receive('shadow', text), result);
    t.equal(receive('shadow', text), result);
    t.equal(applied.length, 1);
    t.equal(one.versionOf('shadow'), HELD);
    t.equal(one.counts[result], 1, 'one that stays in its place counts once');
    t.equal(lines.length, result === 'old' ? 0 : 1);
    t.notMatch(lines.join(), /"sig"|BEGIN/);
    t.equal(receive('shadow', signed(HELD + 1)), 'applied', 'heals');
  });
}

t.test('what is no receipt of ours is counted and dropped', async (t) => {
  const { one, receive, applied } = receiver(ANY);
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
  t.equal(receive('router', plain(receipt(7, 'gw-2'))), 'foreign');
  t.equal(applied.length, 0);
  t.match(one.counts, { applied: 0, old: 0, malformed: wrong.length, implausible: 0, foreign: 1 });
  t.equal(receive('router', plain(receipt(1))), 'applied', 'and the next good one is taken');
});

t.test('any: unsigned receipts and those of unknown keys count; a wrong signature never does', async (t) => {
  const { one, receive, applied } = receiver(ANY);
  t.equal(receive('a', plain(receipt(5))), 'applied', 'a router from before');
  t.equal(receive('a', FORGER.text(receipt(6))), 'applied');
  t.equal(receive('a', signed(7)), 'applied');
  t.same(one.unverified, { unsigned: 1, 'unknown-key': 1 });
  t.equal(receive('a', FORGED), 'signature');
  const withCopy = { ...JSON.parse(FORGED), receipt: receiptJson(receipt(99)) };
  t.equal(receive('a', JSON.stringify(withCopy)), 'signature', 'whatever stands beside it');
  t.equal(applied.length, 3);
});

t.test('any: a router from before writes beside the signed receipt of another one', async (t) => {
  // A shadow merges what both write.
  const merged = (signedVersion: number, plainVersion: number): string => {
    const { signed: document } = FORM.body(receipt(signedVersion));
    return JSON.stringify({ signed: document, receipt: receiptJson(receipt(plainVersion)) });
  };
  const { receive, applied } = receiver(ANY);
  t.equal(receive('shadow', merged(5, 5)), 'applied');
  t.equal(receive('shadow', merged(5, 8)), 'applied', 'the newer one');
  t.equal(receive('shadow', merged(9, 8)), 'applied');
  t.same(
    applied.map(({ version }) => version),
    [5, 8, 9],
  );
  const strict = receiver();
  strict.receive('shadow', merged(5, 5));
  t.equal(strict.receive('shadow', merged(5, 8)), 'old', 'signed: the unsigned one never counts');
});

t.test('an agent from before reads the unsigned copy', async (t) => {
  t.same(JSON.parse(FORM_WITH_COPY.text(receipt(5))).receipt, receiptJson(receipt(5)), 'as it was');
  t.equal(JSON.parse(FORM.text(receipt(5))).receipt, null);
});

t.test('a dropped receipt counts once its key is known', async (t) => {
  const { one, receive, state, applied } = receiver(trustOf('signed'));
  t.equal(one.again('twin'), null);
  t.equal(receive('twin', signed(5)), 'unknown-key');
  t.equal(one.again('twin'), 'unknown-key');
  t.equal(one.counts['unknown-key'], 1);
  state.trust = TRUST;
  t.equal(one.again('twin'), 'applied');
  t.equal(one.again('twin'), null);
  t.equal(applied.length, 1);
});

t.test('a flood: one verification for each receipt at most, none for most, few lines (I10)', async (t) => {
  let asked = 0;
  // A key is asked for before each verification.
  const keyOf: ReceiptTrust['keyOf'] = (keyId) => {
    asked += 1;
    return TRUST.keyOf(keyId);
  };
  const { one, receive, lines, clock, state } = receiver({ accept: 'signed', keyOf });
  state.wallMs = NOW_MS;
  t.equal(receive('a', signed(HELD)), 'applied');
  t.equal(asked, 1);
  for (let i = 1; i <= HELD; i++) {
    receive('a', signed(i));
    receive('a', signed(2000 + i, 'gw-2'));
    receive('a', plain(receipt(2000 + i)));
    receive('a', signed(NOW_MS + 90_000_000 + i));
  }
  t.equal(asked, 1, 'old, foreign, unsigned and implausible ones are not verified');
  for (let i = 0; i < 200; i++) receive('a', `${FORGED}${' '.repeat(i)}`);
  t.equal(asked, 201);
  t.equal(one.counts.signature, 200);
  t.equal(lines.length, 4, 'one for each reason');
  clock.advance(60_000);
  receive('a', `${FORGED}${' '.repeat(200)}`);
  const expected = { event: 'downlink.unverified', reason: 'signature', suppressed: 199 };
  t.match(JSON.parse(lines[4] ?? ''), expected);
  t.equal(receive('a', signed(HELD + 1)), 'applied');
});
