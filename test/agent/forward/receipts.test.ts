/** The forwarder of a stream that waits for receipts: which rows they free, and what is sent again. */
import t from 'tap';
import { testDir } from '../../test-dir.ts';
import { until } from '../../until.ts';
import { appendAll, bufferFile, texts } from '../store/fixture.ts';
import { agentOn, bring, GATEWAY, hear, kept, LAG_MS, Router, rows } from './receipts-fixture.ts';

t.test('a row stays until its receipt, also over a restart, and is not sent twice for it (I3)', async (t) => {
  const router = new Router();
  const file = bufferFile(testDir(t));
  const first = await agentOn(t, file, { router });
  await appendAll(first.store, texts(20));
  await until('20 records wait for a receipt', () => kept(first) === 20);
  t.equal(await rows(first), 20, 'accepted by all that are asked, and still there');
  await first.stop();

  const second = await agentOn(t, file, { router });
  await until('20 records wait for a receipt', () => kept(second) === 20);
  await appendAll(second.store, texts(1));
  await until('21 records wait for a receipt', () => kept(second) === 21);
  t.equal(second.acknowledged('a') + second.acknowledged('b'), 2, 'the end of the epoch, and what is new');
  hear(second, router);
  await until('nothing is left in the buffer', async () => (await rows(second)) === 0);
  t.equal(kept(second), 0);
});

t.test(
  'a provider that acknowledges and does not deliver is left, and what it lost goes through another (I3)',
  async (t) => {
    const router = new Router();
    const grey = new Set(['a']);
    const agent = await agentOn(t, bufferFile(testDir(t)), { router, grey });
    hear(agent, router);
    await appendAll(agent.store, texts(30));
    await until('30 records wait for a receipt', () => kept(agent) === 30);
    t.equal(agent.acknowledged('b'), 0);
    hear(agent, router);
    t.ok(agent.tracker.isWaiting);
    t.same(agent.routing.providers().find(({ provider }) => provider === 'a')?.holds, []);
    await until('the records are taken back', () => {
      agent.clock.skip(LAG_MS / 4);
      hear(agent, router);
      return agent.tracker.undelivered.get('a') === 30;
    });
    t.same(agent.routing.providers().find(({ provider }) => provider === 'a')?.holds, ['receipt-lag']);
    t.same(agent.routing.candidates('telemetry', new Set()), ['b']);
    await until('all arrived by the other way', async () => {
      hear(agent, router);
      return (await rows(agent)) === 0;
    });
    const seqs = router.arrived.flatMap(({ records }) => records.map(({ seq }) => seq));
    t.same(
      seqs.sort((x, y) => x - y),
      Array.from({ length: 30 }, (_, i) => i + 1),
      'each once',
    );
    t.notOk(agent.tracker.isWaiting);
    t.equal(agent.tracker.lags.size, 0);
    const events = agent.lines.map(({ event }) => event);
    for (const event of ['routing.hold', 'receipts.undelivered', 'forward.recovered'])
      t.ok(events.includes(event));
  },
);

t.test('without another provider it is tried again with the same one, but not at once', async (t) => {
  const router = new Router();
  const grey = new Set(['a']);
  const agent = await agentOn(t, bufferFile(testDir(t)), { router, grey, providers: ['a'] });
  hear(agent, router);
  await appendAll(agent.store, texts(3));
  await until('the records count as undelivered', () => {
    agent.clock.skip(LAG_MS / 4);
    hear(agent, router);
    return agent.tracker.undelivered.get('a') === 3;
  });
  const before = agent.acknowledged('a');
  for (const later of [1, 2]) {
    await appendAll(agent.store, texts(1));
    await until('a record that is new goes at once', () => agent.acknowledged('a') === before + later);
  }
  t.equal(kept(agent), 2, 'and nothing else went');
  t.equal(await rows(agent), 5, 'the others wait in the buffer');
  t.same(
    agent.routing.candidates('telemetry', new Set()),
    ['a'],
    'what is new goes there, for want of another',
  );
});

t.test('what somebody else gave up frees nothing, and arrives all the same (I3)', async (t) => {
  const router = new Router();
  const grey = new Set(['a', 'b']);
  const agent = await agentOn(t, bufferFile(testDir(t)), { router, grey });
  await appendAll(agent.store, texts(20));
  await until('20 records wait for a receipt', () => kept(agent) === 20);
  const clock = { bootId: 'boot-1', offsetMs: 0, quality: 'synchronised' as const };
  const key = { gateway: GATEWAY, epoch: agent.store.epoch, stream: 'telemetry' };
  const gaps = [{ first: 1, last: 15, reason: 'quota' as const }];
  router.take({ ...key, clock, lane: 'live', records: [], gaps, sealedAt: null });
  hear(agent, router);
  hear(agent, router);
  t.equal(await rows(agent), 20);
  const told = agent.lines.filter(({ event }) => event === 'receipts.given_up_elsewhere');
  t.match(told, [{ stream: 'telemetry', epoch: agent.store.epoch, first: 1, last: 15 }]);
  t.equal(told.length, 1);
  grey.clear();
  await until('the buffer is empty', async () => {
    agent.clock.skip(LAG_MS / 4);
    hear(agent, router);
    return (await rows(agent)) === 0;
  });
  const seqs = router.arrived.flatMap(({ records }) => records.map(({ seq }) => seq));
  t.same(new Set(seqs), new Set(Array.from({ length: 20 }, (_, i) => i + 1)));
});

t.test('where rows leave with the acknowledgement, a grey provider is found all the same', async (t) => {
  const router = new Router();
  const agent = await agentOn(t, bufferFile(testDir(t)), {
    router,
    grey: new Set(['a']),
    stream: { until: 'cloud' },
  });
  hear(agent, router);
  await appendAll(agent.store, texts(5));
  await until('nothing is left in the buffer', async () => (await rows(agent)) === 0);
  await until('the records count as undelivered', () => {
    agent.clock.skip(LAG_MS / 4);
    hear(agent, router);
    return agent.tracker.undelivered.get('a') === 5;
  });
  t.same(agent.routing.candidates('telemetry', new Set()), ['b']);
  t.equal(kept(agent), 0);
});

t.test('a router that is silent is no evidence against anybody, and gets time to catch up', async (t) => {
  const router = new Router();
  const agent = await agentOn(t, bufferFile(testDir(t)), { router, grey: new Set(['a', 'b']) });
  hear(agent, router);
  await appendAll(agent.store, texts(5));
  await until('5 records wait for a receipt', () => kept(agent) === 5);
  agent.tracker.onRouterSilent();
  agent.clock.skip(1.5 * LAG_MS);
  t.equal(agent.tracker.lags.size, 0);
  agent.tracker.onRouterAnswer();
  t.equal(agent.tracker.undelivered.size, 0, 'it is late, and given as long again as the router was silent');
  await until('the records count as undelivered', () => {
    agent.clock.skip(LAG_MS / 4);
    agent.tracker.onRouterAnswer();
    return agent.tracker.undelivered.get('a') === 5;
  });
});

t.test(
  'a receipt that lay in a cloud is as old as what it covers: what came later is not missed (I3)',
  async (t) => {
    const router = new Router();
    const agent = await agentOn(t, bufferFile(testDir(t)), { router });
    bring(agent, router.receipt());
    agent.clock.skip(1.5 * LAG_MS);
    await appendAll(agent.store, texts(5));
    await until('5 records wait for a receipt', () => kept(agent) === 5);
    const old = router.receipt();
    await appendAll(agent.store, texts(5));
    await until('10 records wait for a receipt', () => kept(agent) === 10);
    agent.clock.skip(1.5 * LAG_MS);
    bring(agent, old);
    await until('5 records are left in the buffer', async () => (await rows(agent)) === 5);
    t.equal(agent.tracker.undelivered.size, 0);
    t.same(agent.routing.candidates('telemetry', new Set()), ['a', 'b'], 'nobody is suspected');
    bring(agent, router.receipt());
    await until('nothing is left in the buffer', async () => (await rows(agent)) === 0);
    t.equal(agent.acknowledged('a') + agent.acknowledged('b'), 2, 'nothing was sent twice');
  },
);

t.test('a cloud’s receipt that passes over what is older shows who lost it (I3)', async (t) => {
  const router = new Router();
  const grey = new Set(['a']);
  const agent = await agentOn(t, bufferFile(testDir(t)), { router, grey });
  bring(agent, router.receipt());
  agent.clock.skip(1.5 * LAG_MS);
  await appendAll(agent.store, texts(5));
  await until('5 records wait for a receipt', () => kept(agent) === 5);
  agent.clock.skip(1.5 * LAG_MS);
  bring(agent, router.receipt());
  t.equal(agent.tracker.undelivered.size, 0, 'nothing that it covers is newer');
  grey.clear();
  await appendAll(agent.store, texts(5));
  await until('10 records wait for a receipt', () => kept(agent) === 10);
  bring(agent, router.receipt());
  t.equal(agent.tracker.undelivered.get('a'), 5);
  await until('the receipt frees all', async () => {
    bring(agent, router.receipt());
    return (await rows(agent)) === 0;
  });
});

t.test('a gap and the end of an epoch that did not arrive are announced again (I3)', async (t) => {
  const router = new Router();
  const grey = new Set(['a']);
  const file = bufferFile(testDir(t));
  const first = await agentOn(t, file, { router, providers: ['a'], grey: new Set(['a']) });
  await appendAll(first.store, texts(4));
  const { epoch } = first.store;
  await until('4 records wait for a receipt', () => kept(first) === 4);
  await first.store.giveUp(epoch, 'telemetry', 1, 2, 'quota');
  await until('a acknowledged two envelopes', () => first.acknowledged('a') === 2);
  await first.stop();

  const second = await agentOn(t, file, { router, grey });
  hear(second, router);
  await until('a acknowledged the announcement', () => second.acknowledged('a') >= 1);
  t.equal(second.store.initialState()[0]?.gaps.length, 1, 'acknowledged, and not forgotten');
  await until('the gap counts as undelivered', () => {
    second.clock.skip(LAG_MS / 4);
    hear(second, router);
    return second.tracker.undelivered.get('a') !== undefined;
  });
  await until('gap and end arrived and the epoch is gone', async () => {
    hear(second, router);
    return (await rows(second)) === 0 && second.store.epochs().every(({ current }) => current);
  });
  t.ok(router.arrived.some(({ gaps }) => gaps.some(({ first, last }) => first === 1 && last === 2)));
  t.ok(router.arrived.some(({ sealedAt }) => sealedAt === 4));
});
