import t from 'tap';
import { ReceiptReceiver } from '../../../agent/downlink/receiver.ts';
import { type Receipt, receiptJson } from '../../../shared/receipt.ts';
import { log } from '../../loopback/gcp-support.ts';

function receiver() {
  const applied: Receipt[] = [];
  const tracker = { apply: (receipt: Receipt) => void applied.push(receipt) };
  return { receiver: new ReceiptReceiver({ gateway: 'gw-1', tracker, log }), applied };
}

function body(version: number, gateway = 'gw-1'): Uint8Array {
  const receipt = receiptJson({ gateway, version, streams: [] });
  return Buffer.from(JSON.stringify({ receipt }));
}

t.test('the newest version holds, wherever it comes from; an older one is passed over', async (t) => {
  const { receiver: one, applied } = receiver();
  t.equal(one.receive('router', body(5)), 'applied');
  t.equal(one.receive('other', body(4)), 'old');
  t.equal(one.receive('router', body(5)), 'old');
  t.equal(one.receive('other', body(6)), 'applied');
  t.same(
    applied.map(({ version }) => version),
    [5, 6],
  );
  t.equal(one.version, 6);
  t.same(one.counts, { applied: 2, old: 2, malformed: 0, foreign: 0 });
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
  t.same(one.counts, { applied: 0, old: 0, malformed: wrong.length, foreign: 0 });
  t.equal(one.receive('router', body(1)), 'applied', 'and the next good one is taken');
});
