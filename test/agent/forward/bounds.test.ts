/**
 * Envelopes in flight at a provider, through the whole forwarder: bounded, shared with live records, and
 * fitted to the uplink.
 */

import t from 'tap';
import { DrainRate } from '../../../agent/forward/queue/drain-rate.ts';
import type { OutboundEnvelope, Outcome } from '../../../agent/providers/publisher.ts';
import { latency } from '../../latency.ts';
import { ManualClock } from '../../manual-clock.ts';
import { testDir } from '../../test-dir.ts';
import { asTimePasses, until } from '../../until.ts';
import { appendAll, bufferFile } from '../store/fixture.ts';
import { agentOn, drained, incompressible, seqsOf } from './fixture.ts';

const LATE: Outcome = { kind: 'unknown', cause: 'deadline', detail: '' };
const ERROR: Outcome = { kind: 'retryable', cause: 'server-error', detail: '' };
const ACCEPTED: Outcome = { kind: 'accepted' };

t.test('many streams, copies and failures at once: never more than eight and a probe (I10)', async (t) => {
  const names = ['s1', 's2', 's3', 's4'];
  const streams = Object.fromEntries(
    names.map((name) => [name, { topics: [name === 's4' ? '#' : name], redundancy: 2, linger: '1ms' }]),
  );
  const failover = { open_for: '50ms', open_max: '50ms', failures_to_open: 20 };
  let tries = 0;
  const agent = await agentOn(bufferFile(testDir(t)), {
    providers: ['a', 'b', 'c'],
    policy: { streams, failover, hedge: { delay_min: '20ms', delay_max: '20ms', share: 1, burst: 100 } },
    async answer(provider) {
      tries += 1;
      const fails = provider === 'a' && tries % 3 === 0;
      await latency(60 + (tries % 7) * 10);
      return fails ? ERROR : ACCEPTED;
    },
  });
  await Promise.all(names.map((name) => appendAll(agent.store, incompressible(120), name)));
  await until('the buffer is drained', drained(agent));
  for (const provider of ['a', 'b', 'c']) {
    const most = agent.mostInFlight(provider);
    t.ok(most > 1 && most <= 9, `${most} at ${provider}`);
    t.equal(agent.senders.get(provider)?.inFlight, 0);
  }
  await agent.stop();
});

t.test('the backlog leaves places for what is live (I10)', async (t) => {
  const file = bufferFile(testDir(t));
  const before = await agentOn(file, { providers: ['a'], down: new Set(['a']) });
  await appendAll(before.store, incompressible(2000));
  await before.stop();
  let backlog = 0;
  let most = 0;
  const agent = await agentOn(file, {
    providers: ['a'],
    async answer(_, { bytes }) {
      const isLarge = bytes.length > 6000;
      if (isLarge) backlog += 1;
      most = Math.max(most, backlog);
      await latency(40);
      if (isLarge) backlog -= 1;
      return ACCEPTED;
    },
  });
  await until('the backlog has four envelopes under way', () => most >= 4);
  t.ok((agent.forwarder.streams()[0]?.backlog ?? 0) > 1000);
  const began = agent.accepted.length;
  await appendAll(agent.store, ['now']);
  await until('a live envelope is accepted', () =>
    agent.accepted.slice(began).some(({ envelope }) => envelope.lane === 'live'),
  );
  t.not(agent.forwarder.streams()[0]?.backlog, 0, 'the live one did not wait for all of it');
  await until('the buffer is drained', drained(agent));
  t.ok(most <= 6, `${most} of the backlog at once`);
  t.equal(seqsOf(agent, 'a').length, 2001);
  t.match(agent.forwarder.streams()[0], { backlog: 0, timeToDrainMs: null });
  await agent.stop();
});

t.test('streams take turns: no backlog waits for the whole of another one', async (t) => {
  const file = bufferFile(testDir(t));
  const policy = { streams: { first: { topics: ['first'] }, second: { topics: ['#'] } } };
  const before = await agentOn(file, { providers: ['a'], policy, down: new Set(['a']) });
  for (const name of ['first', 'second']) await appendAll(before.store, incompressible(500), name);
  await before.stop();
  const agent = await agentOn(file, { providers: ['a'], policy });
  await until('the buffer is drained', drained(agent));
  const half = agent.accepted
    .flatMap(({ envelope }) => envelope.records.map(() => envelope.stream))
    .slice(0, 500);
  const ofSecond = half.filter((stream) => stream === 'second').length;
  t.ok(ofSecond > 150 && ofSecond < 350, `${ofSecond} of the first 500`);
  await agent.stop();
});

t.test('an uplink that cannot carry a full envelope in its deadline drains all the same', async (t) => {
  const file = bufferFile(testDir(t));
  const before = await agentOn(file, { providers: ['a'], down: new Set(['a']) });
  await appendAll(before.store, incompressible(150));
  await before.stop();
  const clock = new ManualClock();
  // 50 KB/s, first in, first out: 96 KB take two seconds, the deadline is one.
  let freeMs = 0;
  let late = 0;
  let largest = 0;
  const uplink = async ({ bytes }: OutboundEnvelope, deadlineMs: number): Promise<Outcome> => {
    const nowMs = clock.monoMs();
    freeMs = Math.max(freeMs, nowMs) + bytes.length / 50;
    const takesMs = freeMs - nowMs + 20;
    await clock.sleep(Math.min(takesMs, deadlineMs));
    if (takesMs > deadlineMs) late += 1;
    else largest = Math.max(largest, bytes.length);
    return takesMs > deadlineMs ? LATE : ACCEPTED;
  };
  const agent = await agentOn(file, {
    providers: ['a'],
    clock,
    policy: { failover: { deadline_min: '1s', deadline_max: '1s', open_for: '100ms', open_max: '100ms' } },
    answer: (_, message, deadlineMs) => uplink(message, deadlineMs),
  });
  t.teardown(() => agent.stop());
  await asTimePasses(clock, 20, 'the buffer is drained', drained(agent));
  t.ok(late <= 2, `${late} were late`);
  t.ok(largest < 50_000, `${largest} bytes in the largest`);
});

t.test('time to drain: backlog over the pace of the last seconds', (t) => {
  const rate = new DrainRate();
  t.equal(rate.timeFor(1000), null, 'nothing has left yet');
  rate.second(0);
  rate.second(100);
  t.equal(rate.timeFor(1000), 10_000);
  t.equal(rate.timeFor(0), null);
  for (let i = 0; i < 30; i += 1) rate.second(i % 2 === 0 ? 400 : 0);
  const ms = rate.timeFor(1000) ?? 0;
  t.ok(ms > 4000 && ms < 6500, `${ms}`);
  for (let i = 0; i < 60; i += 1) rate.second(0);
  t.equal(rate.timeFor(1000), null, 'an outage');
  rate.second(500);
  t.equal(rate.timeFor(1000), 2000);
  t.end();
});
