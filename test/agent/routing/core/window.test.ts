import fc from 'fast-check';
import t from 'tap';
import { deadlineMs } from '../../../../agent/routing/core/deadline.ts';
import { nextBaseline, signsOf } from '../../../../agent/routing/core/signs.ts';
import { newProvider } from '../../../../agent/routing/core/state.ts';
import {
  EMPTY_WINDOW,
  pruned,
  type Sample,
  type SampleWindow,
  withSample,
} from '../../../../agent/routing/core/window.ts';
import { facts, policyOf } from './world.ts';

function sample(
  atMs: number,
  latencyMs: number,
  verdict: Sample['verdict'] = 'accepted',
  live = true,
): Sample {
  return { atMs, latencyMs, bytes: 1000, verdict, live };
}

function windowOf(samples: readonly Sample[]): SampleWindow {
  return samples.reduce(withSample, EMPTY_WINDOW);
}

function repeated(count: number, latencyMs: number, verdict: Sample['verdict'] = 'accepted'): Sample[] {
  return Array.from({ length: count }, (_, i) => sample(i, latencyMs, verdict));
}

t.test('quantiles by nearest rank over what was accepted', (t) => {
  const window = windowOf([
    ...Array.from({ length: 100 }, (_, i) => sample(i, 100 - i)),
    sample(100, 5000, 'failed'),
    sample(101, 1, 'throttled'),
  ]);
  t.match(window, { latencyP50Ms: 50, latencyP95Ms: 95, latencyP99Ms: 99, accepted: 100, tries: 101 });
  t.equal(window.goodput, 100 / 102);
  t.end();
});

t.test('large envelopes count for the deadline, not for the latency', (t) => {
  const window = windowOf([sample(0, 20), sample(1, 30), sample(2, 2000, 'accepted', false)]);
  t.match(window, { latencyP50Ms: 20, latencyP95Ms: 30, latencyP99Ms: 2000, latencySamples: 2, accepted: 3 });
  t.end();
});

t.test('holds 128 samples of the last minute at most (SPEC 14)', (t) => {
  const steps = fc.array(fc.nat(900), { minLength: 1, maxLength: 300, size: 'max' });
  fc.assert(
    fc.property(steps, (gaps) => {
      let nowMs = 0;
      let window = EMPTY_WINDOW;
      const all: Sample[] = [];
      for (const gapMs of gaps) {
        nowMs += gapMs;
        all.push(sample(nowMs, gapMs));
        window = withSample(window, sample(nowMs, gapMs));
      }
      const expected = all.filter(({ atMs }) => nowMs - atMs <= 60_000).slice(-128);
      t.same(window.samples, expected);
      t.equal(pruned(window, nowMs), window, 'nothing to prune: the same object');
      t.equal(pruned(window, nowMs + 60_001).tries, 0);
    }),
    { numRuns: 30 },
  );
  t.end();
});

t.test('deadline: four times the slow ones, within the policy', (t) => {
  const { failover } = policyOf({ failover: { deadline_min: '750ms', deadline_max: '3s' } });
  const provider = newProvider(facts('a'), 0);
  const at = (window: SampleWindow, bytes = 0): number =>
    deadlineMs({ ...provider, window }, failover, bytes);
  t.equal(at(EMPTY_WINDOW), 3000, 'without samples');
  t.equal(at(windowOf([sample(0, 20)])), 750);
  t.equal(at(windowOf([sample(0, 300)])), 1200);
  t.equal(at(windowOf([sample(0, 2000)])), 3000);
  t.equal(at(windowOf([sample(0, 20)]), 64_000), 1750, 'time to carry 64 kB at 64 kB/s');
  t.equal(at(windowOf([sample(0, 20)]), 1e6), 3000);
  t.end();
});

t.test('signs', (t) => {
  const baseline = { p95Ms: 100, atMs: 0 };
  const cases: Array<[string, Sample[], ReturnType<typeof signsOf>]> = [
    ['nothing seen', [], null],
    ['nine failures condemn nobody', repeated(9, 50, 'failed'), null],
    ['79 % accepted', [...repeated(79, 50), ...repeated(21, 50, 'failed')], 'success-bad'],
    ['80 % accepted: between', [...repeated(80, 50), ...repeated(20, 50, 'failed')], null],
    ['90 % accepted', [...repeated(90, 50), ...repeated(10, 50, 'failed')], 'signs-good'],
    ['throttled ones are no failures', [...repeated(10, 50), ...repeated(20, 50, 'throttled')], 'signs-good'],
    ['p95 past four times the usual', repeated(20, 401), 'latency-bad'],
    ['p95 at four times the usual: between', repeated(20, 400), null],
    ['p95 below 300 ms harms nobody', repeated(20, 300), 'signs-good'],
    ['three good ones acquit', repeated(3, 50), 'signs-good'],
    ['two do not', repeated(2, 50), null],
  ];
  for (const [name, samples, expected] of cases)
    t.equal(signsOf(windowOf(samples), baseline), expected, name);
  t.equal(
    signsOf(windowOf(repeated(20, 290)), { p95Ms: 10, atMs: 0 }),
    'signs-good',
    '29 times a tiny latency',
  );
  t.equal(
    signsOf(windowOf(repeated(20, 9000)), null),
    'signs-good',
    'no baseline: it may always be like this',
  );
  t.end();
});

t.test('the baseline falls within minutes and rises within half an hour', (t) => {
  const follow = (fromMs: number, toMs: number, durationMs: number): number => {
    let baseline = nextBaseline(null, windowOf(repeated(20, fromMs)), 0);
    const window = windowOf(repeated(20, toMs));
    for (let nowMs = 0; nowMs <= durationMs; nowMs += 100) baseline = nextBaseline(baseline, window, nowMs);
    return baseline?.p95Ms ?? Number.NaN;
  };
  t.ok(follow(1000, 100, 180_000) < 150);
  t.ok(follow(100, 1000, 60_000) < 140, 'a minute of bad latency hardly moves it');
  t.ok(follow(100, 1000, 3_600_000) > 850, 'an hour makes it the usual');
  t.equal(nextBaseline(null, windowOf(repeated(9, 50)), 0), null, 'nine samples make none');
  const connecting = [...repeated(1, 900), ...repeated(11, 20)];
  t.equal(nextBaseline(null, windowOf(connecting), 0)?.p95Ms, 80, 'a slow first connect is not the usual');
  t.end();
});
