/**
 * The watchdog over SDKs that do not answer. A fake stands for such an SDK here: none can be made to hang on
 * purpose.
 */

import { join } from 'node:path';
import t from 'tap';
import type { Outcome, PublishAttempt, Publisher } from '../../../agent/providers/publisher.ts';
import { SupervisedPublisher } from '../../../agent/providers/supervised.ts';
import { createLogger, type Logger } from '../../../shared/log.ts';
import { envelope } from '../../loopback/gcp-support.ts';
import { ManualClock } from '../../manual-clock.ts';
import { testDir } from '../../test-dir.ts';
import { asTimePasses, until } from '../../until.ts';
import { agentOn, drained, seqsOf } from '../forward/fixture.ts';
import { appendAll, texts } from '../store/fixture.ts';

const ACCEPTED: Outcome = { kind: 'accepted' };
const NEVER = new Promise<never>(() => undefined);

const GRACE_MS = 1000;
const CLOSE_MS = 1000;

/** Ends at an instant of the manual clock. */
const by = (endsAtMs: number): PublishAttempt => ({ endsAtMs, signal: new AbortController().signal });

/** An SDK that answers from the second time on that it is opened. */
class Stuck {
  readonly clock: ManualClock;
  opened = 0;
  closed = 0;
  published = 0;
  readonly events: string[] = [];
  /** The outcome of a stuck publish; by default none. */
  fate: () => Promise<Outcome> = () => NEVER;
  close: () => Promise<void> = () => NEVER;

  constructor(clock = new ManualClock()) {
    this.clock = clock;
  }

  supervised(isStuck: (opened: number) => boolean): Publisher {
    return new SupervisedPublisher({
      provider: 'a',
      type: 'mqtt',
      open: async () => this.#open(isStuck),
      clock: this.clock,
      log: this.#logger(),
    });
  }

  #open(isStuck: (opened: number) => boolean): Publisher {
    this.opened += 1;
    const stuck = isStuck(this.opened);
    return {
      type: 'mqtt',
      maxEnvelopeBytes: 128_000,
      publish: () => {
        this.published += 1;
        return stuck ? this.fate() : Promise.resolve(ACCEPTED);
      },
      close: () => {
        this.closed += 1;
        return stuck ? this.close() : Promise.resolve();
      },
    };
  }

  #logger(): Logger {
    const write = (line: string): void => void this.events.push(String(JSON.parse(line).event));
    return createLogger({ level: 'info', levels: {} }, { write });
  }
}

t.test('a publish that never settles is abandoned as unknown, and its publisher made anew', async (t) => {
  const sdk = new Stuck();
  const publisher = sdk.supervised((opened) => opened === 1);
  const first = publisher.publish(envelope('x'), by(100));
  const second = publisher.publish(envelope('y'), by(150));
  await until('the SDK has both', () => sdk.published === 2);
  sdk.clock.advance(100 + GRACE_MS - 1);
  t.same(sdk.events, [], 'not before its deadline and the grace are over');
  sdk.clock.advance(1);
  t.match(await first, { kind: 'unknown', cause: 'abandoned' });
  t.same(sdk.events, ['publish.abandoned'], 'the other one has its own deadline');
  sdk.clock.advance(50);
  t.match(await second, { kind: 'unknown', cause: 'abandoned' });
  t.same({ opened: sdk.opened, closed: sdk.closed }, { opened: 2, closed: 1 }, 'once for both');
  t.same(await publisher.publish(envelope('z'), by(2000)), ACCEPTED, 'although the old one never closes');
  t.same(sdk.events, ['publish.abandoned', 'publish.abandoned']);
  await publisher.close();
});

t.test('one that throws is abandoned too; slow ones and late answers are left alone', async (t) => {
  const sdk = new Stuck();
  sdk.fate = () => Promise.reject(new Error('a bug'));
  sdk.close = () => Promise.reject(new Error('another'));
  const publisher = sdk.supervised((opened) => opened === 1);
  t.match(await publisher.publish(envelope('x'), by(100)), { cause: 'abandoned', detail: /a bug/ });
  t.same(await publisher.publish(envelope('y'), by(100)), ACCEPTED);
  await until('the failed close is logged', () => sdk.events.includes('provider.close_failed'));
  await publisher.close();

  const slow = new Stuck();
  slow.fate = () => slow.clock.sleep(400).then(() => ACCEPTED);
  const patient = slow.supervised(() => true);
  const late = patient.publish(envelope('x'), by(100));
  await until('the SDK has it', () => slow.published === 1);
  slow.clock.advance(400);
  t.same(await late, ACCEPTED, 'within the grace');
  slow.clock.advance(10 * GRACE_MS);
  t.equal(slow.closed, 0);
  slow.close = () => Promise.resolve();
  await patient.close();
});

t.test('close ends what never settles, within a second', async (t) => {
  const sdk = new Stuck();
  const publisher = sdk.supervised(() => true);
  const stuck = publisher.publish(envelope('x'), by(60_000));
  await until('the SDK has one publish', () => sdk.published === 1);
  const closing = publisher.close();
  await until('the SDK is asked to close', () => sdk.closed === 1);
  sdk.clock.advance(CLOSE_MS);
  await closing;
  t.match(await stuck, { kind: 'unknown', cause: 'connection-lost' });
  t.equal(sdk.opened, 1);
});

t.test('senders are independent: one that never answers does not slow another', async (t) => {
  const clock = new ManualClock();
  const sdk = new Stuck(clock);
  const policy = {
    streams: {
      mine: { topics: ['mine'], preferred_providers: ['a'], linger: '5ms' },
      other: { topics: ['#'], preferred_providers: ['b'], linger: '5ms' },
    },
    hedge: { enabled: false },
    failover: { deadline_min: '60s', deadline_max: '60s', open_for: '100ms', open_max: '100ms' },
  };
  const agent = await agentOn(join(testDir(t), 'buffer.db'), {
    providers: ['a', 'b'],
    clock,
    policy,
    publisher: (provider) => (provider === 'a' ? sdk.supervised((opened) => opened === 1) : null),
  });
  t.teardown(() => agent.stop());
  const others = () => agent.accepted.filter(({ envelope }) => envelope.stream === 'other').length;
  await appendAll(agent.store, texts(3), 'mine');
  await asTimePasses(clock, 1, 'the SDK has a publish', () => sdk.published > 0);
  for (let i = 1; i <= 10; i += 1) {
    await appendAll(agent.store, ['x'], 'other');
    await asTimePasses(clock, 1, 'the other stream goes on', () => others() === i);
  }
  t.same(sdk.events, [], 'the stuck ones are still under way');
  t.ok((agent.senders.get('a')?.inFlight ?? 0) > 0);
  await asTimePasses(clock, 1000, 'the buffer is drained', drained(agent));
  t.ok(clock.monoMs() >= 60_000 + GRACE_MS, `${clock.monoMs()} ms`);
  t.equal(seqsOf(agent, 'b').length, 13, 'the stuck ones found the other provider');
  t.ok((agent.senders.get('a')?.counters.abandoned ?? 0) > 0);
  t.ok(sdk.opened > 1 && sdk.closed > 0, 'closed and made anew');
  await asTimePasses(
    clock,
    1000,
    'the provider is healthy again',
    () => agent.routing.providers()[0]?.health === 'healthy' && sdk.published > 2,
  );
});
