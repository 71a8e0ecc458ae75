import t from 'tap';
import { ReceiptReceiver } from '../../../agent/downlink/receiver.ts';
import { type Receipt, receiptJson } from '../../../shared/receipt.ts';
import { log } from '../../loopback/gcp-support.ts';

function receiver() {
  const applied: Receipt[] = [];
  const newest: boolean[] = [];
  const clock: { wallMs: number | null } = { wallMs: null };
  const tracker = {
    apply: (receipt: Receipt, isNewest?: boolean) => {
      applied.push(receipt);
      newest.push(isNewest ?? true);
    },
  };
  const trustedWallMs = () => clock.wallMs;
  return {
    receiver: new ReceiptReceiver({ gateway: 'gw-1', tracker, trustedWallMs, log }),
    applied,
    newest,
    clock,
  };
}

function body(version: number, gateway = 'gw-1'): Uint8Array {
  const receipt = receiptJson({ gateway, version, streams: [] });
  return Buffer.from(JSON.stringify({ receipt }));
}

t.test('of each downlink the newer version counts; an older one is passed over', async (t) => {
  const { receiver: one, applied, newest } = receiver();
  t.equal(one.receive('router', body(5)), 'applied');
  t.equal(one.receive('other', body(4)), 'applied');
  t.equal(one.receive('router', body(5)), 'old');
  t.equal(one.receive('other', body(6)), 'applied');
  t.same(
    applied.map(({ version }) => version),
    [5, 4, 6],
  );
  t.same(newest, [true, false, true]);
  t.equal(one.versionOf('other'), 6);
  t.match(one.counts, { applied: 3, old: 1, malformed: 0, implausible: 0, foreign: 0 });
});

t.test('a version far ahead of the clock is dropped, and a poisoned downlink heals', async (t) => {
  const { receiver: one, clock } = receiver();
  const nowMs = 1_795_000_000_000;
  t.equal(one.receive('shadow', body(Number.MAX_SAFE_INTEGER)), 'applied', 'a clock from 1970 cannot tell');
  t.equal(one.receive('shadow', body(nowMs)), 'old', 'poisoned');
  t.equal(one.receive('router', body(nowMs)), 'applied', 'another downlink is not');
  clock.wallMs = nowMs;
  t.equal(one.versionOf('shadow'), 0);
  t.equal(one.receive('shadow', body(nowMs)), 'applied', 'healed');
  t.equal(one.receive('shadow', body(nowMs + 2 * 86_400_000)), 'implausible');
  t.equal(one.receive('shadow', body(nowMs + 1000)), 'applied');
  t.equal(one.counts.implausible, 1);
});

t.test('what is no receipt of ours is counted and dropped', async (t) => {
  const { receiver: one, applied } = receiver();
  const wrong = [
    Buffer.from(''),
    Buffer.from('<html>'),
    Buffer.from('null'),
    Buffer.from('[]'),
    Buffer.from('{}'),
    Buffer.from('{"receipt":{"v":2}}'),
    Buffer.from([0xff, 0xfe]),
    Buffer.alloc(200_000, 0x20),
    body(7, 'gw-2'),
  ];
  for (const bytes of wrong) t.equal(one.receive('router', bytes), 'malformed');
  t.equal(applied.length, 0);
  t.same(one.counts, { applied: 0, old: 0, malformed: wrong.length, implausible: 0, foreign: 0 });
  t.equal(one.receive('router', body(1)), 'applied', 'and the next good one is taken');
});
