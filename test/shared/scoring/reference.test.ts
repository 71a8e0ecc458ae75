/**
 * The reference form against cases whose results were worked out by hand; the arithmetic stands with each
 * case.
 */
import { readFileSync } from 'node:fs';
import t from 'tap';
import { z } from 'zod';
import type { ScoreInputs } from '../../../shared/scoring/inputs.ts';
import { scoreProviders } from '../../../shared/scoring/score.ts';
import { unmeasured } from './inputs.ts';

const caseSchema = z.strictObject({
  name: z.string(),
  weights: z.strictObject({
    cost: z.number(),
    performance: z.number(),
    compliance: z.number(),
    reliability: z.number(),
  }),
  requiredCertifications: z.array(z.string()),
  providers: z.array(
    z.strictObject({
      provider: z.string(),
      monthlyCostUsd: z.number(),
      latencyMs: z.number(),
      throughputMbps: z.number(),
      slaPercent: z.number(),
      certifications: z.array(z.string()),
      insideResidency: z.boolean().nullable(),
    }),
  ),
  expected: z.record(z.string(), z.number()),
  arithmetic: z.array(z.string()).min(1),
});

const cases = z
  .array(caseSchema)
  .parse(JSON.parse(readFileSync(new URL('./reference-cases.json', import.meta.url), 'utf8')));

for (const { name, weights, requiredCertifications, providers, expected } of cases) {
  t.test(name, (t) => {
    const inputs = providers.map(
      ({ latencyMs, ...rest }): ScoreInputs => ({
        ...unmeasured,
        ...rest,
        latencyPriorMs: latencyMs,
        requiredCertifications,
      }),
    );
    const scores = scoreProviders('reference', weights, inputs);
    t.equal(scores.length, Object.keys(expected).length);
    for (const { provider, score } of scores) {
      t.ok(Math.abs(score - (expected[provider] ?? Number.NaN)) < 1e-12, `${provider}: ${score}`);
    }
    t.end();
  });
}

t.test('a measured median takes the place of the expected latency', (t) => {
  const input: ScoreInputs = {
    ...unmeasured,
    latencyPriorMs: 50,
    throughputMbps: 1000,
    measured: {
      ...unmeasured.measured,
      accepted: 9,
      tries: 9,
      latencySamples: 9,
      latencyP50Ms: 200,
      latencyP95Ms: 900,
    },
  };
  const weights = { cost: 0, performance: 1, compliance: 0, reliability: 0 };
  t.equal(scoreProviders('reference', weights, [input])[0]?.score, (0.8 + 1) / 2);
  t.end();
});
