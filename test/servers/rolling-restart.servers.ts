/**
 * Two routers on one ledger, one queue and one feed, restarted one after the other while envelopes come in:
 * nothing is lost, nothing comes twice (I5). And /readyz means it. On PostgreSQL and on JetStream.
 */

import { join } from 'node:path';
import t, { type Test } from 'tap';
import { openAwsPublisher } from '../../agent/providers/aws/publisher.ts';
import { systemClock as clock } from '../../shared/clock.ts';
import { encodeEnvelope } from '../../shared/envelope/codec.ts';
import { attempt } from '../attempt.ts';
import { silent, startAws } from '../loopback/start-aws.ts';
import { receiver } from '../router/feeds/sinks/receiver.ts';
import { envelope, seqs } from '../router/ledger/envelopes.ts';
import { testDir } from '../test-dir.ts';
import { until } from '../until.ts';
import { type SharedEngine, sharedJetStream, sharedPostgres } from './rolling-engines.ts';
import { type RouterProcess, routerProcess } from './router-process.ts';

const RESTARTS = 2;
const GATEWAYS = 3;
const ENVELOPE_RECORDS = 5;
/**
 * Longer than a batch takes on a busy machine, so that only a router that leaves messages behind causes
 * redeliveries.
 */
const VISIBILITY_TIMEOUT = '8s';
const SECRET = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;

/** Records that are published between two steps of a restart. */
const ROUNDS_BETWEEN = 5;

for (const [name, started] of Object.entries({ PostgreSQL: sharedPostgres, JetStream: sharedJetStream })) {
  await t.test(
    `${name}: rolling restarts lose nothing and double nothing (I5); /readyz means it`,
    async (t) => {
      const engine = await started();
      t.teardown(() => engine.remove());
      await restartInTurn(t, engine);
    },
  );
}

async function restartInTurn(t: Test, engine: SharedEngine): Promise<void> {
  const aws = await startAws(t);
  const hook = await receiver(t, () => ({ status: 200 }));
  const source = { ...aws.cloud.routerConfig(), visibility_timeout: VISIBILITY_TIMEOUT };
  const config = {
    sources: [source],
    ledger: engine.section,
    feeds: [
      { name: 'hook', type: 'webhook', url: `http://127.0.0.1:${hook.port}/`, secret: SECRET, hold_back: {} },
    ],
  };
  const dir = testDir(t);
  const routers: RouterProcess[] = [];
  for (const name of ['first', 'second']) {
    const router = await routerProcess(join(dir, name), config);
    t.teardown(() => router.kill());
    await router.start();
    routers.push(router);
  }

  const publisher = await openAwsPublisher(aws.agent, { clock, log: silent });
  t.teardown(() => publisher.close());
  const run: { done: boolean; rounds: number } = { done: false, rounds: 0 };
  const publishing = (async () => {
    for (; !run.done; run.rounds += 1) {
      const first = run.rounds * ENVELOPE_RECORDS + 1;
      for (const gateway of seqs(1, GATEWAYS).map((i) => `gw-${i}`)) {
        const made = envelope({ gateway, seqs: seqs(first, first + ENVELOPE_RECORDS - 1) });
        const properties = { hg: '1', gw: gateway, ep: made.epoch, st: made.stream };
        const bytes = Buffer.from(encodeEnvelope(made));
        const outcome = await publisher.publish(
          { gateway, stream: made.stream, bytes, properties },
          attempt(10_000),
        );
        if (outcome.kind !== 'accepted') throw new Error(`not published: ${outcome.kind}`);
      }
    }
  })();

  /** So that each restart happens in the middle of traffic. */
  const moreIsPublished = async (): Promise<void> => {
    const next = run.rounds + ROUNDS_BETWEEN;
    await until('more is published', () => run.rounds >= next);
  };
  for (let restart = 0; restart < RESTARTS; restart += 1) {
    await moreIsPublished();
    const router = routers[restart % routers.length];
    t.equal(await router?.stop(), 0, 'a clean end');
    await moreIsPublished();
    await router?.start();
  }
  run.done = true;
  await publishing;

  const records = run.rounds * GATEWAYS * ENVELOPE_RECORDS;
  t.comment(`${records} records, ${RESTARTS} restarts`);
  const received = (): string[] =>
    hook.posted.flatMap(({ body }) =>
      JSON.parse(body).data.records.map(
        ({ gateway, seq }: { gateway: string; seq: number }) => `${gateway}/${seq}`,
      ),
    );
  const ledger = await engine.open();
  t.teardown(() => ledger.close());
  await until('the ledger holds all', async () => (await ledger.totals()).records >= records);
  await until('the feed brought all', () => received().length >= records);
  t.strictSame(await ledger.totals(), { records, duplicates: 0, conflicts: 0, deadLetters: 0 });
  t.match(await ledger.verify(), { records, problemCount: 0 });
  const ids = received();
  t.equal(ids.length, records, 'the feed brought each once');
  for (const gateway of seqs(1, GATEWAYS).map((i) => `gw-${i}`)) {
    t.strictSame(
      ids.filter((id) => id.startsWith(`${gateway}/`)),
      seqs(1, records / GATEWAYS).map((seq) => `${gateway}/${seq}`),
      'in order',
    );
  }

  const [router] = routers;
  t.match(await router?.readiness(), { status: 200 });
  await engine.takeAway();
  // The connections' own processes outlive the server's first by a moment.
  await until('the router is not ready', async () => (await router?.readiness())?.status === 503);
  const away = await router?.readiness();
  t.equal(away?.status, 503, 'the ledger cannot commit');
  t.ok(away?.failing['ledger'], JSON.stringify(away));
  await engine.bringBack();
  await until('the router is ready again', async () => (await router?.readiness())?.status === 200);
  t.match(await router?.readiness(), { status: 200 }, 'and with the server it can');
  for (const one of routers) t.equal(await one.stop(), 0);
}
