import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import t from 'tap';
import { type DeliveryPorts, deliver } from '../../../../agent/forward/delivery/delivery.ts';
import type { OutboundEnvelope, Outcome } from '../../../../agent/providers/publisher.ts';
import type { SendReason } from '../../../../shared/envelope/send-reason.ts';

const message: OutboundEnvelope = {
  gateway: 'gw-1',
  stream: 'telemetry',
  bytes: Buffer.from('HG'),
  properties: { hg: '1', gw: 'gw-1', ep: '1-ab', st: 'telemetry' },
};

const ACCEPTED: Outcome = { kind: 'accepted' };
const FAILURES: readonly Outcome[] = [
  { kind: 'retryable', cause: 'connection-refused', detail: '' },
  { kind: 'throttled', retryAfterMs: null, detail: '' },
  { kind: 'rejected', scope: 'envelope', cause: 'too-large', detail: '' },
  { kind: 'unknown', cause: 'deadline', detail: '' },
];
const FAILED: Outcome = { kind: 'unknown', cause: 'connection-lost', detail: '' };

interface Script {
  ports: DeliveryPorts;
  /** Everything that happened, in order. */
  events: string[];
  asked: string[];
  reasons: (SendReason | null)[];
  accepted: string[];
  flightsMax: number;
}

/** Providers best first, each with its answer; `settle` decides when an answer arrives. */
function script(
  answers: ReadonlyArray<readonly [provider: string, Outcome]>,
  settle: (outcome: Outcome) => Promise<Outcome> = (outcome) => Promise.resolve(outcome),
): Script {
  let flights = 0;
  const it: Script = {
    events: [],
    asked: [],
    reasons: [],
    accepted: [],
    flightsMax: 0,
    ports: {
      candidates(stream, exclude) {
        assert.equal(stream, message.stream);
        return answers.map(([provider]) => provider).filter((provider) => !exclude.has(provider));
      },
      async send(provider, why) {
        it.asked.push(provider);
        it.events.push(`ask ${provider}`);
        it.reasons.push(why);
        flights += 1;
        it.flightsMax = Math.max(it.flightsMax, flights);
        const [, answer = FAILED] = answers.find(([name]) => name === provider) ?? [];
        const outcome = await settle(answer);
        flights -= 1;
        return outcome;
      },
      reserve: () => true,
      afterHedgeDelay: () => null,
      takeHedge: () => null,
      onHedgeEnd: () => undefined,
      onAccepted(provider) {
        it.accepted.push(provider);
        it.events.push(`took ${provider}`);
      },
      onFailed(provider) {
        it.events.push(`failed ${provider}`);
      },
    },
  };
  return it;
}

t.test(
  'whatever answers come in whatever order, it asks as few as can be and nobody twice (I3, I4)',
  async () => {
    const outcome = fc.constantFrom(ACCEPTED, ACCEPTED, ...FAILURES);
    await fc.assert(
      fc.asyncProperty(
        fc.scheduler(),
        fc.array(outcome, { maxLength: 6 }),
        fc.integer({ min: 1, max: 3 }),
        fc.subarray(['p0', 'p1', 'old'], { maxLength: 2 }),
        async (scheduler, outcomes, copies, before) => {
          const answers = outcomes.map((answer, i) => [`p${i}`, answer] as const);
          const it = script(answers, (answer) => scheduler.schedule(Promise.resolve(answer)));
          const result = deliver(message, copies, new Set(before), it.ports);
          await scheduler.waitFor(result);

          const held = new Set([...before, ...it.accepted]);
          const askable = answers
            .map(([provider]) => provider)
            .filter((provider) => !before.includes(provider));
          assert.equal((await result) === 'delivered', held.size >= copies, 'when enough hold it');
          assert.equal(new Set(it.asked).size, it.asked.length, 'nobody twice');
          assert.deepEqual(it.asked, askable.slice(0, it.asked.length), 'best first, only candidates (I4)');
          assert.ok(held.size <= Math.max(copies, before.length), 'no copy too many');
          assert.ok(
            it.flightsMax <= Math.max(0, copies - before.length),
            'no more at once than copies are missing',
          );
          if (held.size < copies) assert.equal(it.asked.length, askable.length, 'gives up when none is left');
          const answered = it.events.filter((event) => !event.startsWith('ask')).length;
          assert.equal(answered, it.asked.length, 'every answer was reported before it resolved');
        },
      ),
      { numRuns: 500 },
    );
  },
);

t.test('failover: the next best is asked as soon as one fails, whatever the failure', async (t) => {
  for (const failure of FAILURES) {
    const it = script([
      ['aws', failure],
      ['azure', failure],
      ['gcp', ACCEPTED],
      ['mqtt', ACCEPTED],
    ]);
    t.equal(await deliver(message, 1, new Set(), it.ports), 'delivered');
    t.strictSame(
      it.events,
      ['ask aws', 'failed aws', 'ask azure', 'failed azure', 'ask gcp', 'took gcp'],
      failure.kind,
    );
  }
});

t.test('nobody left: back to the buffer', async (t) => {
  const it = script([
    ['aws', FAILED],
    ['gcp', FAILED],
  ]);
  t.equal(await deliver(message, 1, new Set(), it.ports), 'refused');
  t.strictSame(it.asked, ['aws', 'gcp']);
  t.equal(await deliver(message, 1, new Set(), script([]).ports), 'refused');
});

t.test(
  'redundancy: both are asked at once; one that fails is replaced, the copy that is there stays',
  async (t) => {
    const it = script([
      ['aws', ACCEPTED],
      ['azure', FAILED],
      ['gcp', ACCEPTED],
    ]);
    t.equal(await deliver(message, 2, new Set(), it.ports), 'delivered');
    t.strictSame(it.events.slice(0, 2), ['ask aws', 'ask azure']);
    t.strictSame(it.accepted, ['aws', 'gcp']);
    t.strictSame(it.reasons, ['redundant', 'redundant', 'failover'], 'what a second copy is for is told');
  },
);

t.test('redundancy with too few providers: what was accepted is reported, the rest waits', async (t) => {
  const it = script([
    ['aws', ACCEPTED],
    ['azure', FAILED],
  ]);
  t.equal(await deliver(message, 2, new Set(), it.ports), 'refused');
  t.strictSame(it.accepted, ['aws']);
  const later = script([
    ['aws', ACCEPTED],
    ['azure', ACCEPTED],
  ]);
  t.equal(await deliver(message, 2, new Set(['aws']), later.ports), 'delivered');
  t.strictSame(later.asked, ['azure'], 'the one that holds it is not asked again');
});

t.test('a slow provider does not hold up the replacement of one that failed', async (t) => {
  const slow = Promise.withResolvers<Outcome>();
  const it = script(
    [
      ['aws', ACCEPTED],
      ['azure', FAILED],
      ['gcp', ACCEPTED],
    ],
    (outcome) => (it.asked.at(-1) === 'aws' ? slow.promise : Promise.resolve(outcome)),
  );
  const result = deliver(message, 2, new Set(), it.ports);
  await new Promise((resolve) => setImmediate(resolve));
  t.strictSame(it.events, ['ask aws', 'ask azure', 'failed azure', 'ask gcp', 'took gcp']);
  slow.resolve(ACCEPTED);
  t.equal(await result, 'delivered');
});

t.test('who may take it is asked anew before each try (I4)', async (t) => {
  const it = script([
    ['aws', FAILED],
    ['azure', ACCEPTED],
    ['gcp', ACCEPTED],
  ]);
  const { candidates } = it.ports;
  it.ports.candidates = (stream, exclude) =>
    candidates(stream, exclude).filter((provider) => provider !== 'azure' || it.asked.length === 0);
  t.equal(await deliver(message, 1, new Set(), it.ports), 'delivered');
  t.strictSame(it.asked, ['aws', 'gcp'], 'azure was refused in the meantime');
});

t.test('held by enough already: nothing is sent', async (t) => {
  const it = script([['gcp', ACCEPTED]]);
  t.equal(await deliver(message, 2, new Set(['aws', 'azure']), it.ports), 'delivered');
  t.strictSame(it.events, []);
});
