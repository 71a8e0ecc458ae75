import fc from 'fast-check';
import t from 'tap';
import type { ScoreInputs, ScoreParts } from '../../../shared/scoring/inputs.ts';
import { scoreProviders } from '../../../shared/scoring/score.ts';
import { unmeasured } from './inputs.ts';

const WEIGHTS = { cost: 0.3, performance: 0.25, compliance: 0.25, reliability: 0.2 };

function partsOf(...overrides: Array<Partial<ScoreInputs>>): ScoreParts[] {
  const inputs = overrides.map((override) => ({ ...unmeasured, ...override }));
  return scoreProviders('default', WEIGHTS, inputs).map(({ parts }) => parts);
}

function measured(p50: number, p95: number, accepted = 100, tries = accepted): Partial<ScoreInputs> {
  const latencies = { latencySamples: accepted, latencyP50Ms: p50, latencyP95Ms: p95 };
  return { measured: { accepted, tries, ...latencies, goodput: 1 } };
}

t.test('cost is relative to the cheapest eligible', (t) => {
  const cases: Array<{ name: string; costs: Array<[number, boolean]>; parts: number[] }> = [
    {
      name: 'ratio',
      costs: [
        [2, true],
        [1, true],
        [4, true],
      ],
      parts: [0.5, 1, 0.25],
    },
    {
      name: 'nothing to pay within a quota',
      costs: [
        [0, true],
        [1, true],
      ],
      parts: [1, 0],
    },
    {
      name: 'both free',
      costs: [
        [0, true],
        [0, true],
      ],
      parts: [1, 1],
    },
    {
      name: 'a cheaper one that is out sets no scale',
      costs: [
        [1, false],
        [2, true],
        [4, true],
      ],
      parts: [1, 1, 0.5],
    },
    {
      name: 'nobody eligible',
      costs: [
        [1, false],
        [2, false],
      ],
      parts: [1, 1],
    },
  ];
  for (const { name, costs, parts } of cases) {
    const inputs = costs.map(([envelopeCostUsd, eligible]) => ({ envelopeCostUsd, eligible }));
    t.same(
      partsOf(...inputs).map(({ cost }) => cost),
      parts,
      name,
    );
  }
  t.end();
});

t.test('performance falls with latency and with bytes offered in vain', (t) => {
  const performance = (override: Partial<ScoreInputs>): number =>
    partsOf(override)[0]?.performance ?? Number.NaN;
  t.equal(performance({ latencyPriorMs: 200 }), 0.5, 'without samples: what is expected');
  // (3 samples × (150 + 250) / 2 + 1 × 200) / 4 = 200 ms
  t.equal(performance({ ...measured(150, 250, 3), latencyPriorMs: 200 }), 0.5, 'p50 and p95 count alike');
  // (1 × 600 + 1 × 200) / 2 = 400 ms: 200 / 600
  t.equal(
    performance({ ...measured(600, 600, 1), latencyPriorMs: 200 }),
    1 / 3,
    'one sample weighs as much as the prior',
  );
  const throttled = { measured: { ...unmeasured.measured, goodput: 0.25 }, latencyPriorMs: 200 };
  t.equal(performance(throttled), 0.125);
  t.end();
});

t.test('reliability starts at the SLA and follows what is measured', (t) => {
  const reliability = (override: Partial<ScoreInputs>): number =>
    partsOf(override)[0]?.reliability ?? Number.NaN;
  t.equal(reliability({ slaPercent: 99.9 }), 0.999);
  // (10 + 20 × 0.99) / (20 + 20) = 29.8 / 40
  t.equal(reliability({ ...measured(50, 50, 10, 20), slaPercent: 99 }), 0.745);
  t.end();
});

t.test('compliance is the held share of what is required', (t) => {
  const requiredCertifications = ['SOC 2 Type II', 'ISO 27001'];
  const parts = partsOf(
    { requiredCertifications, certifications: ['ISO 27001', 'GDPR'] },
    { requiredCertifications, certifications: ['ISO 27001', 'SOC 2 Type II'] },
    { requiredCertifications: [], certifications: [] },
  );
  t.same(
    parts.map(({ compliance }) => compliance),
    [0.5, 1, 1],
  );
  t.end();
});

t.test(
  'an unmeasured standby does not beat a measured one of the same true latency by the default margin',
  (t) => {
    for (const trueMs of [100, 300, 500, 1000, 2000]) {
      // The standby has one probe in its window and a typical latency that has heard one sample of it.
      const typicalMs = 55 + 0.2 * (trueMs - 55);
      const [used, standby] = scoreProviders('default', WEIGHTS, [
        { ...unmeasured, ...measured(trueMs, trueMs, 128), latencyPriorMs: trueMs },
        { ...unmeasured, ...measured(trueMs, trueMs, 1), latencyPriorMs: typicalMs },
      ]);
      t.ok((standby?.score ?? 1) - (used?.score ?? 0) < 0.05, `${trueMs} ms`);
    }
    t.end();
  },
);

t.test('parts and score are in [0, 1], and the score is their weighted sum', (t) => {
  const input = fc.record({
    eligible: fc.boolean(),
    envelopeCostUsd: fc.oneof(fc.constant(0), fc.double({ min: 1e-9, max: 10, noNaN: true })),
    latencyPriorMs: fc.double({ min: 0, max: 1e5, noNaN: true }),
    slaPercent: fc.double({ min: 0, max: 100, noNaN: true }),
    monthlyCostUsd: fc.double({ min: 0, max: 1e6, noNaN: true }),
    throughputMbps: fc.double({ min: 0, max: 1e5, noNaN: true }),
    insideResidency: fc.constantFrom(null, true, false),
    accepted: fc.nat(128),
    failed: fc.nat(128),
    p50: fc.double({ min: 0, max: 1e5, noNaN: true }),
  });
  const form = fc.constantFrom('default' as const, 'reference' as const);
  fc.assert(
    fc.property(form, fc.array(input, { minLength: 1, maxLength: 6 }), (form, drawn) => {
      const inputs = drawn.map(({ accepted, failed, p50, ...rest }) => ({
        ...unmeasured,
        ...rest,
        ...(accepted > 0 ? measured(p50, p50 * 2, accepted, accepted + failed) : {}),
      }));
      for (const { score, parts } of scoreProviders(form, WEIGHTS, inputs)) {
        const values = Object.values(parts);
        if (!values.every((part) => part >= 0 && part <= 1)) return false;
        const sum =
          0.3 * parts.cost + 0.25 * parts.performance + 0.25 * parts.compliance + 0.2 * parts.reliability;
        if (Math.abs(sum - score) > 1e-12) return false;
      }
      return true;
    }),
  );
  t.end();
});
