/**
 * Failover while the gateway's wall clock jumps (I7). Not a case file: the routing core receives monotonic
 * time only, so every case would pass. The driver of the core could fail.
 */
import t from 'tap';
import type { Outcome } from '../../../agent/providers/publisher.ts';
import type { Effect } from '../../../agent/routing/core/core.ts';
import { LiveRouting } from '../../../agent/routing/live-routing.ts';
import { createLogger } from '../../../shared/log.ts';
import { ManualClock } from '../../manual-clock.ts';
import { facts, policyOf } from '../routing/core/world.ts';

const HOUR_MS = 3_600_000;
const POLICY = policyOf({
  streams: { telemetry: { topics: ['#'], preferred_providers: ['a', 'b'] } },
  failover: { standby_probe: '5s' },
});
const REFUSED: Outcome = { kind: 'retryable', cause: 'connection-refused', detail: '' };

class JumpingClock extends ManualClock {
  jumpMs: number = 0;

  override wallMs(): number {
    return super.wallMs() + this.jumpMs;
  }
}

/**
 * Five minutes with an outage of `a` from 60 s to 120 s; `jumps`: at which second the wall clock jumps, and
 * how far.
 */
function lived(jumps: Readonly<Record<number, number>>): { steps: string[]; wallTimes: string[] } {
  const clock = new JumpingClock(Date.parse('2026-11-21T08:00:00Z'));
  const steps: string[] = [];
  const note = (effects: readonly Effect[]): void => {
    for (const effect of effects) steps.push(`${clock.monoMs()} ${JSON.stringify(effect)}`);
  };
  const routing = new LiveRouting({
    policy: POLICY,
    providers: [facts('a'), facts('b')],
    clock,
    log: createLogger({ level: 'silent', levels: {} }),
  });
  routing.onStep((_, effects) => note(effects));
  const tried = (provider: string, probe: boolean): void => {
    const isDown = provider === 'a' && clock.monoMs() >= 60_000 && clock.monoMs() < 120_000;
    clock.setTimer(20, () => {
      const outcome: Outcome = isDown ? REFUSED : { kind: 'accepted' };
      routing.dispatch({ kind: 'published', provider, outcome, latencyMs: 20, bytes: 300, probe });
    });
  };
  routing.start({ onProbe: (provider) => tried(provider, true), onChange: () => undefined });
  for (let second = 0; second < 300; second += 1) {
    clock.jumpMs += jumps[second] ?? 0;
    const [first] = routing.candidates('telemetry', new Set());
    if (first !== undefined) tried(first, false);
    clock.advance(1000);
  }
  routing.stop();
  return { steps, wallTimes: routing.switches().map(({ at }) => at) };
}

t.test('the wall clock jumps by hours while routing goes on, and nothing changes (I7)', (t) => {
  const steady = lived({});
  t.match(steady.steps.join('\n'), /"from":"a","to":"b","reason":"breaker"/);
  t.match(steady.steps.join('\n'), /"from":"b","to":"a","reason":"preferred"/);
  const jumps = {
    'forward in the outage': { 62: 5 * HOUR_MS },
    'back in the outage': { 62: -7 * HOUR_MS },
    'to 1970 and back, before and after': { 30: -Date.parse('2026-01-01'), 130: Date.parse('2026-01-01') },
    'to and fro while it is being proven': { 118: HOUR_MS, 121: -2 * HOUR_MS, 124: 30 * HOUR_MS },
  };
  for (const [what, when] of Object.entries(jumps)) {
    const jumped = lived(when);
    t.same(jumped.steps, steady.steps, what);
    t.not(jumped.wallTimes.join(), steady.wallTimes.join(), 'the jump was seen where times are shown');
  }
  t.end();
});
