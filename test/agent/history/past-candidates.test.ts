/** Scores made again from the history's lines are those that routing had. */
import t from 'tap';
import { type LineOf, parseLine } from '../../../agent/history/lines.ts';
import { candidatesThen, type Then } from '../../../agent/history/past-candidates.ts';
import { scoreInputsLine } from '../../../agent/history/score-input-lines.ts';
import {
  explain,
  type HoldReason,
  type RoutingState,
  scoreInputsOf,
} from '../../../agent/routing/core/core.ts';
import { facts, policyOf, refuse, World } from '../routing/core/world.ts';

const POLICY = policyOf({
  streams: {
    alarms: { topics: ['alarms/#'], data_residency: 'eu' },
    telemetry: { topics: ['#'], preferred_providers: ['down', 'well'] },
  },
  compliance: { required_certifications: ['iso'] },
  failover: { standby_probe: '500ms' },
});
const FACTS = [
  facts('well', { type: 'aws', certifications: ['iso'] }),
  facts('down', { type: 'gcp', certifications: ['iso'] }),
  facts('slow', { certifications: ['iso'], slaPercent: 99 }),
  facts('held', { certifications: ['iso'] }),
  facts('abroad', { region: 'eastus', certifications: ['iso'] }),
  facts('bare'),
];

/** A state with one of every kind, after a minute. */
function lived(): RoutingState {
  const world = new World({ policy: POLICY, providers: FACTS });
  world.weather('down', refuse);
  world.weather('slow', { kind: 'accept', latencyMs: 30 });
  world.run(20_000);
  world.weather('slow', { kind: 'accept', latencyMs: 700 });
  world.dispatch({ kind: 'usage', provider: 'well', unitsThisMonth: 1e9, quotaUsed: null });
  world.dispatch({ kind: 'hold', provider: 'held', reason: 'manual' });
  world.run(40_000);
  return world.state;
}

/** As the file holds it: written, and read again. */
function reread<Kind extends 'seen' | 'setup'>(line: LineOf<Kind>): LineOf<Kind> {
  return parseLine(JSON.stringify(line)) as LineOf<Kind>;
}

function then(state: RoutingState, inputs: Then['inputs']): Then {
  const holds = state.providers.map((one) => [one.facts.name, new Set<HoldReason>(one.holds)] as const);
  return {
    setup: reread({ k: 'setup', m: 0, gw: 'gw-1', policy: state.policy, providers: FACTS }),
    health: new Map(state.providers.map((one) => [one.facts.name, { kind: one.health.kind }])),
    holds: new Map(holds),
    inputs,
  };
}

t.test('eligibility, every part of every score and its inputs are as explain had them', (t) => {
  const state = lived();
  const inputs = { at: 0, line: reread(scoreInputsLine(scoreInputsOf(state), state.nowMs)) };
  for (const stream of ['telemetry', 'alarms']) {
    const live = explain(state, stream);
    const chosen = live.find((one) => one.chosen)?.provider ?? null;
    const past = candidatesThen(stream, chosen, then(state, inputs));
    t.equal(past.length, FACTS.length);
    for (const [i, candidate] of past.entries()) {
      const was = live[i];
      if (!was || !candidate.scored) throw new Error(`${candidate.provider} has no score`);
      t.same(candidate.refusals, was.refusals, `${stream} ${candidate.provider}`);
      t.equal(candidate.chosen, was.chosen);
      t.equal(candidate.preference, was.preference);
      const near = (a: number, b: number): boolean => Math.abs(a - b) < 0.001;
      t.ok(near(candidate.scored.score, was.score), `${candidate.scored.score} for ${was.score}`);
      t.ok(near(candidate.scored.standing, was.standing));
      for (const part of ['cost', 'performance', 'compliance', 'reliability'] as const)
        t.ok(near(candidate.scored.parts[part], was.parts[part]), part);
      t.equal(candidate.scored.inputs.tries, was.inputs.measured.tries);
    }
  }
  const refusals = Object.fromEntries(
    candidatesThen('alarms', 'well', then(state, inputs)).map((one) => [one.provider, one.refusals]),
  );
  t.match(refusals, { well: [], held: ['hold'], abroad: ['residency'], bare: ['certification'] });
  t.ok(refusals['down']?.some((reason) => reason === 'open' || reason === 'probing'));
  t.ok(
    state.providers.some(({ health }) => health.kind === 'degraded'),
    'one of them competes with half its score',
  );
  t.end();
});

t.test('what an older program wrote says who was eligible, and that scores are not known', (t) => {
  const state = lived();
  for (const one of candidatesThen('alarms', 'well', then(state, null))) t.equal(one.scored, null);
  const line = reread(scoreInputsLine(scoreInputsOf(state).slice(1), state.nowMs));
  const partly = candidatesThen('alarms', 'well', then(state, { at: 0, line }));
  t.ok(
    partly.every(({ scored }) => scored === null),
    'scores compare: one that is missing spoils the others',
  );
  t.match(partly[4]?.refusals, ['residency']);
  t.same(candidatesThen('gone', null, then(state, null)), [], 'a stream that the policy does not name');
  t.end();
});

t.test('a policy that was recorded before probes had a budget is replayed with the default', (t) => {
  const { probe_budget: _, ...cost } = POLICY.cost;
  const line = parseLine(
    JSON.stringify({ k: 'setup', m: 0, gw: 'gw-1', policy: { ...POLICY, cost }, providers: FACTS }),
  );
  t.match(line, { policy: { cost: { probe_budget: 0.5 } } });
  t.end();
});
