/** Hedges of one envelope: the asked providers, the answer that counts, and the end of the other tries. */
import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import t from 'tap';
import {
  type DeliveryEnd,
  type DeliveryPorts,
  deliver,
} from '../../../../agent/forward/delivery/delivery.ts';
import { type OutboundEnvelope, type Outcome, TAKEN_BACK } from '../../../../agent/providers/publisher.ts';
import { ManualClock } from '../../../manual-clock.ts';

const message: OutboundEnvelope = {
  gateway: 'gw-1',
  stream: 'telemetry',
  bytes: Buffer.from('HG'),
  properties: { hg: '1', gw: 'gw-1', ep: '1-ab', st: 'telemetry' },
};
const ACCEPTED: Outcome = { kind: 'accepted' };
const LATE: Outcome = { kind: 'unknown', cause: 'deadline', detail: '' };
const REFUSED: Outcome = { kind: 'retryable', cause: 'connection-refused', detail: '' };
const HEDGE_MS = 100;

interface Answer {
  outcome: Outcome;
  afterMs: number;
  /** An SDK that recalls nothing. */
  deaf?: boolean;
}

interface Run {
  result: Promise<DeliveryEnd>;
  clock: ManualClock;
  /** Everything that happened, each with its time. */
  events: string[];
  asked: string[];
  accepted: string[];
  /** True once `deliver` resolved. */
  isOver(): boolean;
}

/** Providers best first, each with its answer; `budget`: hedges that may be sent. */
function run(answers: Record<string, Answer>, copies = 1, budget = 10, before: readonly string[] = []): Run {
  const clock = new ManualClock();
  const it: Omit<Run, 'result' | 'isOver'> = { clock, events: [], asked: [], accepted: [] };
  let left = budget;
  let over = false;
  const note = (text: string): void => void it.events.push(`${clock.monoMs()} ${text}`);
  const names = Object.keys(answers);
  const ports: DeliveryPorts = {
    reserve: () => true,
    candidates: (_, exclude) => names.filter((name) => !exclude.has(name)),
    send(provider, why, signal) {
      it.asked.push(provider);
      note(why === null ? `ask ${provider}` : `ask ${provider} (${why})`);
      const { outcome, afterMs, deaf = false } = answers[provider] ?? { outcome: REFUSED, afterMs: 1 };
      return new Promise((resolve) => {
        const timer = clock.setTimer(afterMs, () => resolve(outcome));
        if (deaf) return;
        signal?.addEventListener('abort', () => {
          timer.cancel();
          resolve(TAKEN_BACK);
        });
      });
    },
    afterHedgeDelay: (_, onDelay) => clock.setTimer(HEDGE_MS, onDelay),
    takeHedge(_, exclude) {
      if (left < 1) return null;
      const [target] = names.filter((name) => !exclude.has(name));
      if (target === undefined) return null;
      left -= 1;
      return target;
    },
    onHedgeEnd: (slow, end) => note(`hedge of ${slow} ${end}`),
    onAccepted(provider) {
      it.accepted.push(provider);
      note(`took ${provider}`);
    },
    onFailed: (provider) => note(`failed ${provider}`),
  };
  const result = deliver(message, copies, new Set(before), ports).finally(() => {
    over = true;
  });
  return { ...it, result, isOver: () => over };
}

async function pass({ clock }: Run, ms: number): Promise<void> {
  for (let i = 0; i < ms; i += 10) {
    clock.advance(10);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

t.test(
  'a black hole is overtaken; its own try goes on to its deadline and changes nothing then',
  async (t) => {
    const it = run({ aws: { outcome: LATE, afterMs: 750 }, azure: { outcome: ACCEPTED, afterMs: 30 } });
    await pass(it, 1000);
    t.equal(await it.result, 'delivered');
    t.strictSame(it.events, ['0 ask aws', '100 ask azure (hedge)', '130 hedge of aws won', '130 took azure']);
  },
);

t.test('the slow one answers first: the hedge is taken back', async (t) => {
  const it = run({ aws: { outcome: ACCEPTED, afterMs: 120 }, azure: { outcome: ACCEPTED, afterMs: 80 } });
  await pass(it, 300);
  t.equal(await it.result, 'delivered');
  t.strictSame(it.events, [
    '0 ask aws',
    '100 ask azure (hedge)',
    '120 took aws',
    '120 hedge of aws cancelled',
  ]);
});

t.test(
  'one that cannot be taken back is counted when it ends, and accepted is not twice delivered',
  async (t) => {
    const it = run({
      aws: { outcome: ACCEPTED, afterMs: 120 },
      azure: { outcome: ACCEPTED, afterMs: 80, deaf: true },
    });
    await pass(it, 300);
    t.strictSame(it.events, ['0 ask aws', '100 ask azure (hedge)', '120 took aws', '180 hedge of aws lost']);
  },
);

t.test('a hedge that fails leaves the slow one its time, and asks nobody else', async (t) => {
  const it = run({
    aws: { outcome: ACCEPTED, afterMs: 300 },
    azure: { outcome: REFUSED, afterMs: 10 },
    gcp: { outcome: ACCEPTED, afterMs: 10 },
  });
  await pass(it, 400);
  t.strictSame(it.events, [
    '0 ask aws',
    '100 ask azure (hedge)',
    '110 hedge of aws failed',
    '110 failed azure',
    '300 took aws',
  ]);
});

t.test('two black holes: the hedge is hedged; then there is nobody left', async (t) => {
  const hole = { outcome: LATE, afterMs: 750 };
  const third = run({ aws: hole, azure: hole, gcp: { outcome: ACCEPTED, afterMs: 20 } });
  await pass(third, 1000);
  t.equal(await third.result, 'delivered');
  t.strictSame(third.accepted, ['gcp']);
  t.ok(third.events.includes('220 took gcp'));
  const none = run({ aws: hole, azure: hole });
  await pass(none, 1000);
  t.equal(await none.result, 'refused', 'back to the buffer at the last deadline');
  t.strictSame(none.events.slice(-2), ['850 hedge of aws failed', '850 failed azure']);
});

t.test('no budget, no hedge', async (t) => {
  const it = run({ aws: { outcome: LATE, afterMs: 750 }, azure: { outcome: ACCEPTED, afterMs: 30 } }, 1, 0);
  await pass(it, 1000);
  t.strictSame(it.events, ['0 ask aws', '750 failed aws', '750 ask azure (failover)', '780 took azure']);
});

t.test('two copies: a hedge stands in for the slow one, at a third provider', async (t) => {
  const it = run(
    {
      aws: { outcome: ACCEPTED, afterMs: 20 },
      azure: { outcome: LATE, afterMs: 750 },
      gcp: { outcome: ACCEPTED, afterMs: 20 },
    },
    2,
  );
  await pass(it, 1000);
  t.equal(await it.result, 'delivered');
  t.strictSame(it.accepted, ['aws', 'gcp']);
});

t.test('two copies: the try that was overtaken stands for no other copy that is still missing', async (t) => {
  const it = run(
    {
      aws: { outcome: LATE, afterMs: 750 },
      azure: { outcome: REFUSED, afterMs: 150 },
      gcp: { outcome: ACCEPTED, afterMs: 20 },
      mqtt: { outcome: ACCEPTED, afterMs: 20 },
    },
    2,
    1,
  );
  await pass(it, 1000);
  t.strictSame(it.accepted, ['gcp', 'mqtt']);
  t.ok(it.events.includes('170 took mqtt'), 'not at the deadline of aws');
});

t.test(
  'whatever answers come when, N copies are at N providers and nobody is asked twice (I3, I4)',
  async () => {
    const answer = fc.record({
      outcome: fc.constantFrom(ACCEPTED, ACCEPTED, LATE, REFUSED),
      afterMs: fc.integer({ min: 1, max: 40 }).map((n) => n * 10),
      deaf: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(answer, { maxLength: 6 }),
        fc.integer({ min: 1, max: 3 }),
        fc.integer({ min: 0, max: 3 }),
        fc.subarray(['p0', 'old'], { maxLength: 2 }),
        async (list, copies, budget, before) => {
          const answers = Object.fromEntries(list.map((one, i) => [`p${i}`, one]));
          const it = run(answers, copies, budget, before);
          await pass(it, 3000);
          assert.ok(it.isOver(), 'it ends');
          const held = new Set([...before, ...it.accepted]);
          assert.equal(
            (await it.result) === 'delivered',
            held.size >= copies,
            'when enough different ones hold it',
          );
          assert.equal(held.size, before.length + it.accepted.length, 'no acceptance counts twice');
          assert.equal(new Set(it.asked).size, it.asked.length, 'nobody twice');
          assert.ok(!it.asked.some((name) => before.includes(name)), 'nor one that holds it already');
          const hedges = it.events.filter((event) => event.includes('hedge of')).length;
          assert.ok(hedges <= budget, 'within the budget');
          if (held.size < copies)
            assert.equal(it.asked.length, list.length - (before.includes('p0') && list.length > 0 ? 1 : 0));
        },
      ),
      { numRuns: 150 },
    );
  },
);
