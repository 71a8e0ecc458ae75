import fc from 'fast-check';
import t from 'tap';
import {
  absorb,
  completenessOf,
  EMPTY_STREAM,
  type StreamState,
  withdraw,
} from '../../../../router/ledger/rules/rules.ts';
import { decodeState, encodeState } from '../../../../router/ledger/sql/stream-columns.ts';
import { envelope, gap, seqs } from '../envelopes.ts';

const VERIFIED = { verified: true };

const KEY = { gateway: 'gw-1', epoch: '1-aa', stream: 'telemetry' };

function told(state: StreamState): unknown {
  const { retention, erasure, quarantine } = state.withdrawn;
  return [completenessOf(KEY, state), ...[retention, erasure, quarantine].map((set) => [...set.ranges()])];
}

function bytesOf(state: StreamState): number {
  const { seen, withdrawn, gapQuota, gapAge, gapCorruption } = encodeState(state);
  return [seen, withdrawn, gapQuota, gapAge, gapCorruption].reduce((sum, set) => sum + (set?.length ?? 0), 0);
}

t.test('every state comes back as it was', async () => {
  const range = fc
    .tuple(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 0, max: 5 }))
    .map(([first, length]) => ({ first, last: Math.min(20, first + length) }));
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.integer({ min: 1, max: 20 }), { maxLength: 20 }),
      fc.array(range, { maxLength: 3 }),
      fc.array(fc.tuple(range, fc.constantFrom('retention', 'erasure', 'quarantine')), { maxLength: 6 }),
      fc.option(fc.constantFrom(0, 10, 20)),
      (held, gaps, gone, sealedAt) => {
        let { state } = absorb(
          EMPTY_STREAM,
          envelope({ seqs: held.sort((a, b) => a - b), sealedAt }),
          VERIFIED,
        );
        for (const { first, last } of gaps)
          state = absorb(state, envelope({ gaps: [gap(first, last)] }), VERIFIED).state;
        for (const [{ first, last }, why] of gone)
          state = withdraw(state, state.seen.within(first, last), why);
        t.strictSame(told(decodeState(encodeState(state))), told(state));
      },
    ),
  );
});

t.test('an epoch that is over, complete and left is one small row, whatever its holes (I2)', async (t) => {
  const odd = seqs(0, 199).map((i) => 2 * i + 1);
  const before = absorb(
    EMPTY_STREAM,
    envelope({ seqs: odd, gaps: odd.map((seq) => gap(seq + 1, seq + 1)), sealedAt: 400 }),
    VERIFIED,
  );
  const left = withdraw(before.state, before.state.seen.ranges(), 'retention');
  t.ok(bytesOf(before.state) >= 800, `${bytesOf(before.state)} bytes`);
  t.ok(bytesOf(left) <= 412, `${bytesOf(left)} bytes: what was given up, and no more`);
  t.strictSame(told(decodeState(encodeState(left))), told(left));
  const whole = absorb(EMPTY_STREAM, envelope({ seqs: seqs(1, 400), sealedAt: 400 }), VERIFIED).state;
  t.ok(bytesOf(withdraw(whole, whole.seen.ranges(), 'retention')) <= 12);
});
