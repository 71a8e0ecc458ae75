/** Sizes of signed receipts: what each carrier takes (I10). */
import { createPublicKey } from 'node:crypto';
import t from 'tap';
import { ReceiptReceiver } from '../../../agent/downlink/receiver.ts';
import { seededEntropy } from '../../../shared/entropy.ts';
import { createLogger } from '../../../shared/log.ts';
import {
  RECEIPT_BYTES_MAX,
  RECEIPT_RANGES_MAX,
  RECEIPT_STREAMS_MAX,
  type Receipt,
} from '../../../shared/receipt.ts';
import { receipt } from '../../agent/downlink/support.ts';
import { ManualClock } from '../../manual-clock.ts';
import { FORM, FORM_WITH_COPY, ROUTER } from './support.ts';

/** The longest that there is: all streams and ranges, with numbers that do not compress. */
function longest(): Receipt {
  const entropy = seededEntropy(7);
  const perStream = Math.floor(RECEIPT_RANGES_MAX / RECEIPT_STREAMS_MAX);
  const name = (i: number): string => `${i}-${'x'.repeat(60)}`;
  const streams = Array.from({ length: RECEIPT_STREAMS_MAX }, (_, i) => {
    let at = 1_000_000_000_000_000 + Math.floor(entropy.float() * 2 ** 40);
    const missing = Array.from({ length: perStream }, () => {
      const first = at + 2 + Math.floor(entropy.float() * 2 ** 36);
      at = first + Math.floor(entropy.float() * 2 ** 36);
      return { first, last: at };
    });
    return { epoch: name(i), stream: name(i), to: at, missing, givenUp: [], givenUpFrom: at, sealedAt: at };
  });
  return { gateway: 'g'.repeat(64), version: Number.MAX_SAFE_INTEGER, streams };
}

t.test('the longest receipt fits into what gateways read, with its unsigned copy', async (t) => {
  const text = FORM_WITH_COPY.text(longest());
  t.ok(text.length > 60_000, `${text.length} bytes`);
  t.ok(text.length < RECEIPT_BYTES_MAX, `${text.length} bytes`);
  const applied: Receipt[] = [];
  const one = new ReceiptReceiver({
    gateway: 'g'.repeat(64),
    tracker: { apply: (taken) => void applied.push(taken) },
    trust: { accept: 'signed', keyOf: () => createPublicKey(ROUTER.privateKey) },
    trustedWallMs: () => null,
    clock: new ManualClock(),
    log: createLogger({ level: 'silent', levels: {} }),
  });
  t.equal(one.receive('router', Buffer.from(text)), 'applied');
  t.same(applied, [longest()]);
});

t.test('a usual receipt stays within the KB that a shadow is billed by; text is ASCII', async (t) => {
  const usual = receipt(1_795_000_000_000, 'gw-1', 3);
  t.ok(FORM_WITH_COPY.text(usual).length < 1024, `${FORM_WITH_COPY.text(usual).length} bytes`);
  t.ok(FORM.text(usual).length < 640, `${FORM.text(usual).length} bytes`);
  t.match(FORM_WITH_COPY.text(usual), /^[\x20-\x7e]+$/);
});
