/**
 * The window of the backlog on links of every kind: it fills them, and live records wait little behind it.
 */
import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import t from 'tap';
import { BacklogWindow } from '../../../../agent/forward/delivery/backlog-window.ts';

const DEADLINE_MS = 3000;

interface Link {
  /** Of the uplink, in bytes per millisecond, first in, first out. */
  bytesPerMs: number;
  roundTripMs: number;
}

interface Drained {
  /** Used share of the uplink's capacity, after the window's first ten seconds. */
  utilisation: number;
  /** The longest wait of a small envelope in the uplink, after the same ten seconds. */
  queueMaxMs: number;
  /** Tries that outlived their deadline, after it too. */
  late: number;
  largest: number;
}

/**
 * Sends backlog over the link for a minute, as acknowledgements come. `worse` from half of the time on, where
 * given.
 */
function drain(link: Link, worse: Link = link, forMs = 60_000): Drained {
  const window = new BacklogWindow();
  const flights: Array<{ bytes: number; startedMs: number; endsMs: number }> = [];
  const warmMs = 10_000;
  const result = { queueMaxMs: 0, late: 0, largest: 0 };
  let linkFreeMs = 0;
  let carried = 0;
  for (let nowMs = 0; nowMs < forMs; nowMs += 1) {
    const { bytesPerMs, roundTripMs } = nowMs < forMs / 2 ? link : worse;
    for (const flight of flights.filter(({ endsMs }) => endsMs <= nowMs)) {
      flights.splice(flights.indexOf(flight), 1);
      const latencyMs = flight.endsMs - flight.startedMs;
      if (latencyMs >= DEADLINE_MS) {
        window.missed(flight.startedMs, nowMs);
        if (nowMs > warmMs) result.late += 1;
      } else {
        window.saw(latencyMs, nowMs);
        window.accepted(flight.bytes, latencyMs, nowMs);
        if (nowMs > warmMs) carried += flight.bytes;
      }
      window.leave(flight.bytes);
    }
    for (;;) {
      const bytes = window.envelopeBytes(nowMs);
      if (!window.enter(bytes, nowMs)) break;
      linkFreeMs = Math.max(linkFreeMs, nowMs) + bytes / bytesPerMs;
      const arrivesMs = linkFreeMs + roundTripMs;
      flights.push({ bytes, startedMs: nowMs, endsMs: Math.min(arrivesMs, nowMs + DEADLINE_MS) });
      result.largest = Math.max(result.largest, bytes);
    }
    if (nowMs > warmMs) result.queueMaxMs = Math.max(result.queueMaxMs, linkFreeMs - nowMs);
  }
  return { ...result, utilisation: carried / (link.bytesPerMs * (forMs - warmMs)) };
}

t.test('it fills uplinks from 16 KB/s on, and what is live waits little behind it', (t) => {
  for (const bytesPerMs of [16, 32, 100, 1000]) {
    for (const roundTripMs of [20, 80, 300]) {
      const { utilisation, queueMaxMs, late } = drain({ bytesPerMs, roundTripMs });
      const text = `${bytesPerMs} KB/s, ${roundTripMs} ms: ${utilisation.toFixed(2)}, ${Math.round(queueMaxMs)} ms`;
      t.ok(utilisation > 0.85, text);
      t.ok(queueMaxMs < (bytesPerMs < 32 ? 900 : 650), text);
      t.equal(late, 0, text);
    }
  }
  t.end();
});

t.test('on a fast one it is bounded by its own limits, with envelopes of full size (I10)', (t) => {
  const { utilisation, largest } = drain({ bytesPerMs: 10_000, roundTripMs: 80 });
  t.equal(largest, 96 * 1024);
  t.ok(utilisation * 10_000 > 0.7 * ((6 * 96 * 1024) / 140), `${Math.round(utilisation * 10_000)} KB/s`);
  t.end();
});

t.test('an uplink that becomes slow gets smaller envelopes within a few deadlines', (t) => {
  const { late } = drain({ bytesPerMs: 2000, roundTripMs: 50 }, { bytesPerMs: 12, roundTripMs: 50 });
  t.ok(late > 0 && late <= 20, `${late} were late`);
  t.end();
});

t.test('a provider that becomes slow for reasons of its own is not taken for a queue for long', (t) => {
  const near = { bytesPerMs: 2000, roundTripMs: 50 };
  const { utilisation: without } = drain(near, near, 240_000);
  const { utilisation } = drain(near, { bytesPerMs: 2000, roundTripMs: 600 }, 240_000);
  t.ok(
    utilisation > 0.55 * without,
    `${utilisation.toFixed(3)} of ${without.toFixed(3)}, of which half is as before`,
  );
  t.end();
});

t.test('those that were late together halve it once', (t) => {
  const window = new BacklogWindow();
  const before = window.bytes;
  for (let i = 0; i < 6; i += 1) window.missed(i, 100 + i);
  t.equal(window.bytes, before / 2);
  window.missed(101, 200);
  t.equal(window.bytes, before / 4);
  t.end();
});

t.test(
  'whatever happens, no more envelopes and bytes are under way than it says; one always may (I10)',
  async () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant('enter' as const), bytes: fc.integer({ min: 100, max: 300_000 }) }),
      fc.record({
        kind: fc.constantFrom('accepted' as const, 'missed' as const),
        ms: fc.integer({ min: 1, max: 3000 }),
      }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300, size: 'max' }), (steps) => {
        const window = new BacklogWindow();
        const flights: number[] = [];
        let nowMs = 0;
        for (const one of steps) {
          nowMs += 50;
          if (one.kind === 'enter') {
            const underWay = flights.reduce((sum, bytes) => sum + bytes, 0);
            const entered = window.enter(one.bytes, nowMs);
            assert.ok(entered || flights.length > 0, 'one always may');
            if (!entered) continue;
            flights.push(one.bytes);
            assert.ok(flights.length <= 6);
            assert.ok(flights.length === 1 || underWay + one.bytes <= window.bytes + 1);
          } else {
            const bytes = flights.shift();
            if (bytes === undefined) continue;
            if (one.kind === 'accepted') window.accepted(bytes, one.ms, nowMs);
            else window.missed(nowMs - one.ms, nowMs);
            window.leave(bytes);
          }
          assert.ok(window.bytes >= 4000 && window.bytes <= 6 * 96 * 1024);
          const next = window.envelopeBytes(nowMs);
          assert.ok(next >= 4000 && next <= 96 * 1024);
        }
      }),
    );
  },
);
