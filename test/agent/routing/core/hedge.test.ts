/** When a publish is hedged, and how often. */
import fc from 'fast-check';
import t from 'tap';
import type { Outcome } from '../../../../agent/providers/publisher.ts';
import {
  deadlineMs,
  hedgeDelayMs,
  initialState,
  mayHedge,
  type RoutingEvent,
  type RoutingState,
  transition,
} from '../../../../agent/routing/core/core.ts';
import { deepFreeze, facts, policyOf } from './world.ts';

const START: RoutingState = startOf({});

function startOf(document: Record<string, unknown>): RoutingState {
  return initialState(policyOf(document), [facts('aws'), facts('azure')], 0);
}

function after(state: RoutingState, events: readonly RoutingEvent[]): RoutingState {
  return events.reduce((before, event) => {
    deepFreeze(before);
    return transition(before, event, before.nowMs + 10).state;
  }, state);
}

function published(latencyMs: number, outcome: Outcome = { kind: 'accepted' }): RoutingEvent {
  return { kind: 'published', provider: 'aws', outcome, latencyMs, bytes: 1000, probe: false };
}

function times<T>(count: number, value: T): T[] {
  return Array.from({ length: count }, () => value);
}

t.test('twice the p95, within its bounds, and the time that the bytes need (SPEC 17)', (t) => {
  const at = (latencyMs: number, bytes = 0): number | null =>
    hedgeDelayMs(after(START, times(20, published(latencyMs))), 'aws', bytes);
  t.equal(hedgeDelayMs(START, 'aws'), 1000, 'without samples');
  t.equal(at(20), 100, 'delay_min');
  t.equal(at(120), 240);
  t.equal(at(120, 6400), 340);
  t.equal(at(600), 1000, 'delay_max');
  t.equal(at(1500), 1500, 'never below the p95');
  t.equal(hedgeDelayMs(START, 'nobody'), null);
  t.end();
});

t.test('none when it is off, or when the deadline comes first (SPEC 17)', (t) => {
  const quick = times(20, published(20));
  t.equal(hedgeDelayMs(after(startOf({ hedge: { enabled: false } }), quick), 'aws'), null);
  t.equal(mayHedge(startOf({ hedge: { enabled: false } })), false);
  const late = startOf({ hedge: { delay_min: '800ms' } });
  t.equal(hedgeDelayMs(after(late, quick), 'aws'), null, 'deadline_min is 750 ms');
  fc.assert(
    fc.property(fc.array(fc.nat(5000), { maxLength: 30 }), fc.nat(131_072), (latencies, bytes) => {
      const state = after(
        START,
        latencies.map((ms) => published(ms)),
      );
      const delayMs = hedgeDelayMs(state, 'aws', bytes);
      if (delayMs !== null && delayMs >= deadlineMs(state, 'aws', bytes)) throw new Error(`${delayMs}`);
    }),
    { numRuns: 200 },
  );
  t.end();
});

t.test('a burst, then a share of the publishes; never more than both (I10) (SPEC 18)', (t) => {
  const hedged: RoutingEvent = { kind: 'hedged' };
  const spent = after(START, times(10, hedged));
  t.equal(mayHedge(after(START, times(9, hedged))), true);
  t.equal(mayHedge(spent), false);
  t.equal(mayHedge(after(spent, times(19, published(20)))), false);
  t.equal(mayHedge(after(spent, times(21, published(20)))), true, 'one in twenty');
  const probe: RoutingEvent = {
    kind: 'published',
    provider: 'aws',
    outcome: { kind: 'accepted' },
    latencyMs: 20,
    bytes: 100,
    probe: true,
  };
  t.equal(mayHedge(after(spent, times(100, probe))), false, 'probes save up nothing');
  const rested = after(START, times(1000, published(20)));
  t.equal(mayHedge(after(rested, times(10, hedged))), false, 'no more than the burst is saved up');
  t.end();
});

t.test('none while the month’s money runs short (SPEC 18)', (t) => {
  const short = after(START, [{ kind: 'thrift', on: true }]);
  t.equal(mayHedge(short), false);
  t.equal(mayHedge(after(short, [{ kind: 'thrift', on: false }])), true);
  t.end();
});

t.test('a try that was taken back is no failure and no sample of its provider (SPEC 19)', (t) => {
  const known = after(START, times(20, published(20)));
  for (const sent of [true, false]) {
    const state = after(known, times(50, published(90, { kind: 'cancelled', sent, detail: '' })));
    t.same(state.providers, known.providers);
  }
  t.end();
});
