/** The providers that may be used at all: residency, certifications, holds, policy (I4). */
import t from 'tap';
import { candidates, explain } from '../../../../agent/routing/core/core.ts';
import type { ProviderFacts } from '../../../../shared/policy/policy.ts';
import { blackhole, facts, policyOf, refuse, World } from './world.ts';

const NONE: ReadonlySet<string> = new Set();

const EU = facts('eu', { region: 'eu-west-1' });
const US = facts('us', { region: 'us-west-2' });

function worldOf(document: Record<string, unknown>, providers: ProviderFacts[] = [US, EU]): World {
  return new World({ policy: policyOf(document), providers });
}

const EU_ONLY = { streams: { telemetry: { topics: ['#'], data_residency: 'eu' } } };

t.test('a stream with a residency waits rather than leave its zone (I4) (SPEC 1)', (t) => {
  const w = worldOf({
    streams: { telemetry: { topics: ['#'], data_residency: 'eu', preferred_providers: ['us'] } },
  });
  t.same(candidates(w.state, 'telemetry', NONE), ['eu']);
  w.weather('eu', blackhole);
  w.run(30_000);
  t.same(candidates(w.state, 'telemetry', NONE), []);
  t.equal(w.sent.get('us'), undefined);
  t.same(explain(w.state, 'telemetry').find(({ provider }) => provider === 'us')?.refusals, ['residency']);
  t.end();
});

t.test('a provider that no stream may use is not even probed (I4) (SPEC 3)', (t) => {
  const w = worldOf(EU_ONLY);
  w.run(40_000);
  t.equal(w.probes('us').length, 0);
  t.end();
});

t.test('streams of one gateway differ in where they may go', (t) => {
  const w = worldOf({
    streams: {
      health: { topics: ['health/#'], data_residency: 'eu' },
      machines: { topics: ['machines/#'], data_residency: 'us' },
      telemetry: { topics: ['#'] },
    },
  });
  t.same(candidates(w.state, 'health', NONE), ['eu']);
  t.same(candidates(w.state, 'machines', NONE), ['us']);
  t.same(new Set(candidates(w.state, 'telemetry', NONE)), new Set(['eu', 'us']));
  t.same(candidates(w.state, 'forgotten', NONE), [], 'a stream that the policy does not name waits');
  t.same(candidates(w.state, 'telemetry', new Set(['eu'])), ['us']);
  t.end();
});

t.test('names that every object has are only names', (t) => {
  const odd = facts('constructor', { region: 'constructor' });
  const w = worldOf({ streams: { telemetry: { topics: ['#'], data_residency: 'eu' } } }, [odd, EU]);
  w.dispatch({ kind: 'hold', provider: 'toString', reason: 'manual' });
  w.run(1000);
  t.same(candidates(w.state, 'telemetry', NONE), ['eu']);
  t.same(candidates(w.state, 'constructor', NONE), []);
  t.end();
});

t.test('a zone that is not defined is nowhere', (t) => {
  const policy = policyOf();
  const [telemetry] = Object.values(policy.streams);
  if (!telemetry) throw new Error('the default policy has a stream');
  for (const data_residency of ['atlantis', 'constructor']) {
    const streams = { telemetry: { ...telemetry, data_residency } };
    const w = new World({ policy: { ...policy, streams }, providers: [US, EU] });
    t.same(candidates(w.state, 'telemetry', NONE), []);
  }
  t.end();
});

t.test('equal scores: the lower priority number comes first', (t) => {
  const w = worldOf({}, [facts('second', { priority: 2 }), facts('first', { priority: 1 })]);
  t.same(candidates(w.state, 'telemetry', NONE), ['first', 'second']);
  t.end();
});

t.test('required certifications are a gate', (t) => {
  const certified = facts('certified', { certifications: ['SOC 2 Type II', 'ISO 27001'] });
  const partly = facts('partly', { certifications: ['ISO 27001'] });
  const w = worldOf({ compliance: { required_certifications: ['SOC 2 Type II', 'ISO 27001'] } }, [
    partly,
    certified,
  ]);
  t.same(candidates(w.state, 'telemetry', NONE), ['certified']);
  const [explained] = explain(w.state, 'telemetry');
  t.match(explained, { provider: 'partly', refusals: ['certification'], parts: { compliance: 0.5 } });
  t.end();
});

t.test('a disabled provider is neither used nor probed', (t) => {
  const w = worldOf({}, [facts('off', { enabled: false }), EU]);
  w.run(2000);
  t.same(candidates(w.state, 'telemetry', NONE), ['eu']);
  t.equal(w.probes('off').length, 0);
  t.end();
});

t.test('holds are a set: each ends on its own (SPEC 3)', (t) => {
  const w = worldOf({
    streams: { telemetry: { topics: ['#'], preferred_providers: ['us'] } },
    failover: { dwell: '1s' },
  });
  w.run(1000);
  w.dispatch({ kind: 'hold', provider: 'us', reason: 'manual' });
  t.match(w.switches().at(-1), { from: 'us', to: 'eu', reason: 'hold' });
  w.dispatch({ kind: 'hold', provider: 'us', reason: 'quota' });
  w.dispatch({ kind: 'hold', provider: 'us', reason: 'quota' });
  w.dispatch({ kind: 'release', provider: 'us', reason: 'manual' });
  t.same(candidates(w.state, 'telemetry', NONE), ['eu']);
  const probesBefore = w.probes('us').length;
  w.run(40_000);
  t.equal(w.probes('us').length, probesBefore, 'nothing goes to a provider on hold');
  w.dispatch({ kind: 'release', provider: 'us', reason: 'quota' });
  t.equal(w.chosen(), 'eu', 'not yet proven');
  w.run(2000);
  t.equal(w.probes('us').length, probesBefore + 1);
  t.equal(w.chosen(), 'us');
  t.end();
});

t.test('a new policy takes effect at once (SPEC 10, 11)', (t) => {
  const w = worldOf({ failover: { dwell: '1h' } }, [facts('us', { region: 'us-west-2', priority: 0 }), EU]);
  w.run(1000);
  t.equal(w.chosen(), 'us');
  w.dispatch({
    kind: 'policy',
    policy: policyOf({ streams: { telemetry: { topics: ['#'], preferred_providers: ['eu'] } } }),
  });
  t.match(w.switches().at(-1), { from: 'us', to: 'eu', reason: 'policy' });
  w.dispatch({
    kind: 'policy',
    policy: policyOf({
      streams: { extra: { topics: ['x'] }, telemetry: { topics: ['#'], data_residency: 'us' } },
    }),
  });
  const [telemetry] = w
    .switches()
    .filter(({ stream, reason }) => stream === 'telemetry' && reason === 'residency');
  t.match(telemetry, { from: 'eu', to: 'us' });
  t.match(w.switches().at(-2), { stream: 'extra', from: null, reason: 'start' });
  w.dispatch({ kind: 'policy', policy: policyOf(EU_ONLY) });
  t.same(candidates(w.state, 'extra', NONE), [], 'a stream that is gone waits');
  t.end();
});

t.test('a policy does not move a stream to a provider that has not shown that it works (SPEC 11)', (t) => {
  const w = worldOf({}, [facts('us', { region: 'us-west-2', priority: 0 }), EU]);
  w.weather('eu', refuse);
  w.run(1000);
  w.dispatch({
    kind: 'policy',
    policy: policyOf({ streams: { telemetry: { topics: ['#'], preferred_providers: ['eu'] } } }),
  });
  t.equal(w.chosen(), 'us');
  t.end();
});

t.test('copies: the first ones keep their places until beaten by the margin', (t) => {
  const document = {
    streams: { telemetry: { topics: ['#'], redundancy: 2 } },
    failover: { standby_probe: '1s' },
  };
  const w = worldOf(document, [
    facts('a', { slaPercent: 100 }),
    facts('b'),
    facts('c', { slaPercent: 99.8 }),
  ]);
  t.same(candidates(w.state, 'telemetry', NONE), ['a', 'b', 'c']);
  w.weather('b', { kind: 'accept', latencyMs: 60 });
  w.weather('c', { kind: 'accept', latencyMs: 40 });
  w.run(20_000);
  t.same(candidates(w.state, 'telemetry', NONE), ['a', 'b', 'c'], 'c is better by less than the margin');
  w.weather('b', { kind: 'accept', latencyMs: 600 });
  w.run(20_000);
  t.same(candidates(w.state, 'telemetry', NONE), ['a', 'c', 'b']);
  t.end();
});

t.test('usage moves the cost part from one price tier to the next', (t) => {
  const providers = [facts('topic', { type: 'gcp' }), facts('core', { type: 'aws' })];
  const w = worldOf({}, providers);
  const costs = (): number[] => explain(w.state, 'telemetry').map(({ parts }) => parts.cost);
  t.same(costs(), [1, 0], 'nothing to pay within the free 10 GiB');
  w.dispatch({ kind: 'usage', provider: 'topic', unitsThisMonth: 6 * 2 ** 30, quotaUsed: null });
  w.dispatch({ kind: 'usage', provider: 'core', unitsThisMonth: 1e6, quotaUsed: null });
  const [topic, core] = costs();
  t.equal(topic, 1);
  t.ok(core !== undefined && core > 0.16 && core < 0.17, '0.29 against 1.78 USD per million');
  t.end();
});

t.test('a hub costs nothing more, however much it was used: its quota is a hold', (t) => {
  const providers = [facts('hub', { type: 'azure' }), facts('core', { type: 'aws' })];
  const w = worldOf({}, providers);
  w.dispatch({ kind: 'usage', provider: 'hub', unitsThisMonth: 12_400_000, quotaUsed: null });
  t.same(
    explain(w.state, 'telemetry').map(({ parts }) => parts.cost),
    [1, 0],
  );
  w.dispatch({ kind: 'hold', provider: 'hub', reason: 'quota' });
  t.same(candidates(w.state, 'telemetry', NONE), ['core']);
  t.end();
});

t.test('explain says why not', (t) => {
  const w = worldOf({ streams: { telemetry: { topics: ['#'], preferred_providers: ['us'] } } });
  w.run(1000);
  w.weather('us', refuse);
  w.run(200);
  w.dispatch({ kind: 'hold', provider: 'us', reason: 'budget' });
  const [us, eu] = explain(w.state, 'telemetry');
  t.match(us, {
    provider: 'us',
    chosen: false,
    rank: null,
    eligible: false,
    refusals: ['open', 'hold'],
    preference: 1,
    holds: ['budget'],
    healthReason: 'refused',
  });
  t.match(eu, {
    provider: 'eu',
    chosen: true,
    rank: 1,
    eligible: true,
    refusals: [],
    preference: null,
    waitMs: 0,
  });
  t.ok((us?.waitMs ?? 0) > 0);
  t.same(explain(w.state, 'forgotten'), []);
  t.end();
});
