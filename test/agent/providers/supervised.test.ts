/**
 * The watchdog over SDKs that do not answer. A fake stands for such an SDK here: none can be made to hang on
 * purpose.
 */

import { join } from 'node:path';
import t from 'tap';
import type { Outcome, Publisher } from '../../../agent/providers/publisher.ts';
import { SupervisedPublisher } from '../../../agent/providers/supervised.ts';
import { systemClock } from '../../../shared/clock.ts';
import { createLogger, type Logger } from '../../../shared/log.ts';
import { attempt } from '../../attempt.ts';
import { envelope } from '../../loopback/gcp-support.ts';
import { testDir } from '../../test-dir.ts';
import { until } from '../../until.ts';
import { agentOn, drained, seqsOf } from '../forward/fixture.ts';
import { appendAll, texts } from '../store/fixture.ts';

const ACCEPTED: Outcome = { kind: 'accepted' };
const NEVER = new Promise<never>(() => undefined);

/** The clock's timers do not keep the process alive, so the test does. */
const alive = setInterval(() => undefined, 1000);
t.teardown(() => clearInterval(alive));

/** An SDK that answers from the second time on that it is opened. */
class Stuck {
  opened = 0;
  closed = 0;
  published = 0;
  readonly events: string[] = [];
  /** The outcome of a stuck publish; by default none. */
  fate: () => Promise<Outcome> = () => NEVER;
  close: () => Promise<void> = () => NEVER;

  supervised(isStuck: (opened: number) => boolean): Publisher {
    return new SupervisedPublisher({
      provider: 'a',
      type: 'mqtt',
      open: async () => this.#open(isStuck),
      clock: systemClock,
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
  const began = systemClock.monoMs();
  const both = await Promise.all([
    publisher.publish(envelope('x'), attempt(100)),
    publisher.publish(envelope('y'), attempt(150)),
  ]);
  const tookMs = systemClock.monoMs() - began;
  t.match(both, [
    { kind: 'unknown', cause: 'abandoned' },
    { kind: 'unknown', cause: 'abandoned' },
  ]);
  t.ok(tookMs >= 1100, `${Math.round(tookMs)} ms: its deadline and the grace`);
  t.same({ opened: sdk.opened, closed: sdk.closed }, { opened: 2, closed: 1 }, 'once for both');
  t.same(await publisher.publish(envelope('z'), attempt(100)), ACCEPTED, 'although the old one never closes');
  t.same(sdk.events, ['publish.abandoned', 'publish.abandoned']);
  await publisher.close();
});

t.test('one that throws is abandoned too; slow ones and late answers are left alone', async (t) => {
  const sdk = new Stuck();
  sdk.fate = () => Promise.reject(new Error('a bug'));
  sdk.close = () => Promise.reject(new Error('another'));
  const publisher = sdk.supervised((opened) => opened === 1);
  t.match(await publisher.publish(envelope('x'), attempt(100)), { cause: 'abandoned', detail: /a bug/ });
  t.same(await publisher.publish(envelope('y'), attempt(100)), ACCEPTED);
  await until('the failed close is logged', () => sdk.events.includes('provider.close_failed'));
  await publisher.close();

  const slow = new Stuck();
  slow.fate = () => systemClock.sleep(400).then(() => ACCEPTED);
  const patient = slow.supervised(() => true);
  t.same(await patient.publish(envelope('x'), attempt(100)), ACCEPTED, 'within the grace');
  t.equal(slow.closed, 0);
  slow.close = () => Promise.resolve();
  await patient.close();
});

t.test('close ends what never settles, within about a second', async (t) => {
  const sdk = new Stuck();
  const publisher = sdk.supervised(() => true);
  const stuck = publisher.publish(envelope('x'), attempt(60_000));
  await until('the SDK has one publish', () => sdk.published === 1);
  const began = systemClock.monoMs();
  await publisher.close();
  t.match(await stuck, { kind: 'unknown', cause: 'connection-lost' });
  t.ok(systemClock.monoMs() - began < 3000);
  t.equal(sdk.opened, 1);
});

t.test('senders are independent: one that never answers does not slow another', async (t) => {
  const sdk = new Stuck();
  const policy = {
    streams: {
      mine: { topics: ['mine'], preferred_providers: ['a'], linger: '5ms' },
      other: { topics: ['#'], preferred_providers: ['b'], linger: '5ms' },
    },
    hedge: { enabled: false },
    failover: { deadline_min: '300ms', deadline_max: '300ms', open_for: '100ms', open_max: '100ms' },
  };
  const agent = await agentOn(join(testDir(t), 'buffer.db'), {
    providers: ['a', 'b'],
    policy,
    publisher: (provider) => (provider === 'a' ? sdk.supervised((opened) => opened === 1) : null),
  });
  const slowest: number[] = [];
  await appendAll(agent.store, texts(3), 'mine');
  for (let i = 0; i < 10; i += 1) {
    const began = systemClock.monoMs();
    const before = agent.accepted.filter(({ envelope }) => envelope.stream === 'other').length;
    await appendAll(agent.store, ['x'], 'other');
    await until(
      'the other stream goes on',
      () => agent.accepted.filter(({ envelope }) => envelope.stream === 'other').length > before,
    );
    slowest.push(systemClock.monoMs() - began);
  }
  const median = slowest.toSorted((x, y) => x - y)[5] ?? 0;
  t.ok(median < 300, `${Math.round(median)} ms is the median of the other one`);
  await until('the buffer is drained', drained(agent));
  t.equal(seqsOf(agent, 'b').length, 13, 'the stuck ones found the other provider');
  t.ok((agent.senders.get('a')?.counters.abandoned ?? 0) > 0);
  t.ok(sdk.opened > 1 && sdk.closed > 0, 'closed and made anew');
  await until(
    'the provider is healthy again',
    () => agent.routing.providers()[0]?.health === 'healthy' && sdk.published > 2,
  );
  await agent.stop();
});
