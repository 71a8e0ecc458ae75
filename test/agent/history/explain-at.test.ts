/** explain of a real agent: now, and at moments of the past. */
import t from 'tap';
import type { Explanation, PastExplanation } from '../../../shared/admin-api/explanation.ts';
import { gatewayWith, untilAnswer } from './gateway.ts';

t.test('explain --at says what held then, and explain what each score is made of', async (t) => {
  const telemetry = { topics: ['#'], linger: '10ms', preferred_providers: ['a'] };
  const policy = { version: 7, streams: { telemetry }, failover: { open_for: '60s', open_max: '60s' } };
  const gateway = await gatewayWith(t, { policy });
  const at = (moment: number): Promise<PastExplanation> =>
    gateway.ask(`/v1/explain?stream=telemetry&at=${new Date(moment).toISOString()}`);
  const now = (): Promise<Explanation> => gateway.ask('/v1/explain?stream=telemetry');

  await t.rejects(at(Date.now() - 86_400_000), /the history has no entry from before/);
  await gateway.publish('plant/temp', 20);
  const before = Date.now();
  const [well] = (await now()).streams;
  t.match(well?.candidates[0], {
    provider: 'a',
    chosen: true,
    preference: 1,
    health: 'healthy',
    trial: null,
    holds: [],
  });
  t.ok((well?.candidates[0]?.inputs.accepted ?? 0) > 0, JSON.stringify(well?.candidates[0]?.inputs));
  await gateway.brokers.a.down();
  await gateway.publish('plant/temp', 1);
  const broken = await untilAnswer(
    'b is chosen',
    now,
    ({ streams }) => streams[0]?.candidates[1]?.chosen === true,
  );
  t.match(broken.streams[0], {
    candidates: [
      { provider: 'a', refusals: ['open'], health: 'open', healthReason: 'refused' },
      { provider: 'b', refusals: [], chosen: true },
    ],
    switches: [
      { to: 'a', reason: 'start' },
      { from: 'a', to: 'b', reason: 'breaker' },
    ],
  });
  const after = Date.now();

  const past = await at(before);
  t.match(past, {
    kind: 'explain-at',
    clock: 'synchronised',
    policyVersion: 7,
    weights: { cost: 0.3 },
    streams: [
      {
        stream: 'telemetry',
        chosen: 'a',
        candidates: [
          { provider: 'a', refusals: [], chosen: true, preference: 1, scored: { parts: { compliance: 1 } } },
          { provider: 'b', refusals: [], chosen: false, scored: { inputs: { slaPercent: Number } } },
        ],
      },
    ],
    providers: [
      { provider: 'a', health: 'healthy', holds: [], tries: { failed: {} } },
      { provider: 'b', health: 'healthy' },
    ],
  });
  t.ok((past.providers[0]?.tries?.accepted ?? 0) > 0);
  const candidates = [
    { provider: 'a', refusals: ['open'], scored: { score: Number } },
    { provider: 'b', refusals: [], chosen: true },
  ];
  const then = {
    streams: [
      { chosen: 'b', candidates, switches: [{ reason: 'start' }, { from: 'a', to: 'b', reason: 'breaker' }] },
    ],
    providers: [
      { provider: 'a', health: 'open', healthReason: 'refused' },
      { provider: 'b', health: 'healthy' },
    ],
  };
  t.match(await at(after), then);
  await untilAnswer(
    'the switch is written',
    async () => gateway.written(),
    (text) => text.includes('"why":"breaker"'),
  );
  await gateway.agent.kill();
  await gateway.start();
  t.match(await at(after), then, 'the same after a kill');
  t.match(await at(before), { streams: [{ chosen: 'a' }] });
  const shown = await gateway.cli('explain', 'telemetry', '--at', new Date(after).toISOString());
  t.match(shown.stdout.replaceAll(/ +/g, ' '), /^a open: refused 20\d\d-.* none 20/m);
  t.match(shown.stdout, /policy version 7/);
  t.match(
    shown.stdout.replaceAll(/ +/g, ' '),
    /^stream telemetry\nPROVIDER VERDICT.*\na refused: open 1 \d\.\d/m,
  );
  t.match(shown.stdout.replaceAll(/ +/g, ' '), /^PROVIDER INPUTS AT.*\na 20\d\d-/m);
  await untilAnswer(
    'b is chosen still',
    () => at(Date.now()),
    ({ streams }) => streams[0]?.chosen === 'b',
  );
  const present = await gateway.cli('explain', '--at', '0s');
  t.match(
    present.stdout.replaceAll(/ +/g, ' '),
    /^telemetry b 20/m,
    'the new process found a closed door at once',
  );
  await t.rejects(gateway.ask('/v1/explain?at=yesterday'), /is not a time; expected a time such as/);
  await t.rejects(
    gateway.ask(`/v1/explain?stream=none&at=${new Date(after).toISOString()}`),
    /no stream \\"none\\" at that time/,
  );
});
