/**
 * Records that a provider never takes, for each type of provider with its real SDK, from the buffer to the
 * ledger: what is given up, what arrives, and how often it is uploaded in vain.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { ENVELOPE_OVERHEAD_BYTES, Intake } from '../../../agent/broker/intake.ts';
import type { OutboundEnvelope, Outcome, Publisher } from '../../../agent/providers/publisher.ts';
import type { Store } from '../../../agent/store/store.ts';
import type { RefusalRule } from '../../../loopback/permanent-refusal.ts';
import { Ingest } from '../../../router/ingest/ingest.ts';
import { openSqliteLedger } from '../../../router/ledger/sqlite/engine.ts';
import { systemEntropy } from '../../../shared/entropy.ts';
import { HEARTBEAT_STREAM } from '../../../shared/envelope/envelope.ts';
import { deps, log } from '../../loopback/gcp-support.ts';
import { SkippingClock } from '../../skipping-clock.ts';
import { until } from '../../until.ts';
import { bufferFile } from '../store/fixture.ts';
import { type Agent, agentOn, drained } from './fixture.ts';
import { CLOUDS, type CloudType, router } from './refusing-clouds.ts';

t.setTimeout(600_000);

const POISON = 'plant/poison';
const RECORDS = 200;
/** A record that a provider cut is tried again after at most this time. */
const AGAIN_MS = 61_000;
const PROBE_MS = 40_000;

interface Upload {
  bytes: number;
  outcome: Outcome;
}

interface World {
  agent: Agent;
  clock: SkippingClock;
  /** Of records, probes left out. */
  uploads: Upload[];
  /** Transitions of health, as `provider state`. */
  health: string[];
  /** By seq, how often the ledger has it. */
  held(): Promise<Map<number, number>>;
  gaps(): Promise<Array<[number, number, string]>>;
  refused(): { messages: number; bytes: number };
}

function counted(publisher: Publisher, uploads: Upload[]): Publisher {
  return {
    type: publisher.type,
    get maxEnvelopeBytes() {
      return publisher.maxEnvelopeBytes;
    },
    async publish(message: OutboundEnvelope, attempt) {
      const outcome = await publisher.publish(message, attempt);
      if (message.stream !== HEARTBEAT_STREAM) uploads.push({ bytes: message.bytes.length, outcome });
      return outcome;
    },
    close: () => publisher.close(),
  };
}

/** `larger`: a router beside the cloud that takes envelopes up to this size. */
async function world(t: Test, type: CloudType, rule: RefusalRule, larger?: number): Promise<World> {
  // The clouds have folders of their own, and a test has one.
  const directory = mkdtempSync(join(tmpdir(), 'headgate-refusals-'));
  const ledger = await openSqliteLedger({ file: `${directory}/ledger.db`, ...deps });
  const ingest = new Ingest({ ledger, ...deps });
  const cloud = await type.start(t, ingest.handler, rule);
  const other = larger === undefined ? null : await router(t, ingest.handler, {}, larger);
  const uploads: Upload[] = [];
  const clock = new SkippingClock();
  const agent = await agentOn(bufferFile(directory), {
    providers: other ? ['cloud', 'other'] : ['cloud'],
    publisher: (name) => (name === 'cloud' ? counted(cloud.publisher, uploads) : (other?.publisher ?? null)),
    clock,
    stream: { linger: '300ms', envelope_bytes: 16_384, preferred_providers: ['cloud'] },
    policy: {
      failover: {
        open_for: '100ms',
        open_max: '100ms',
        standby_probe: '30s',
        // No deadline passes on a busy machine.
        deadline_min: '10s',
        deadline_max: '20s',
      },
      hedge: { enabled: false },
    },
  });
  const health: string[] = [];
  agent.routing.onStep((_, effects) => {
    for (const effect of effects) {
      if (effect.kind === 'health') health.push(`${effect.provider} ${effect.to}`);
    }
  });
  t.after(async () => {
    await agent.stop();
    await ingest.drain();
    await ledger.close();
    rmSync(directory, { recursive: true });
  });
  await until('the providers are known to work', () =>
    [...agent.senders.values()].every(({ counters }) => counters.accepted > 0),
  );
  return {
    agent,
    clock,
    uploads,
    health,
    async held() {
      const times = new Map<number, number>();
      for (let after = 0; ; ) {
        const records = await ledger.read(after, 1000);
        for (const { seq, offset } of records) {
          times.set(seq, (times.get(seq) ?? 0) + 1);
          after = offset;
        }
        if (records.length === 0) return times;
      }
    },
    async gaps() {
      const streams = await ledger.completeness('gw-1');
      return streams.flatMap(({ gaps }) =>
        gaps.map(({ first, last, reason }) => [first, last, reason] as [number, number, string]),
      );
    },
    refused: cloud.refused,
  };
}

const vain = ({ uploads }: World): Upload[] => uploads.filter(({ outcome }) => outcome.kind !== 'accepted');

async function append(store: Store, bytes: number, topic = 'plant/dev-1/temp'): Promise<void> {
  const payload = systemEntropy.bytes(bytes);
  await store.append({ stream: 'telemetry', device: 'dev-1', topic, payload, monoMs: 12 });
}

/** At once, so that they share an envelope; `poison`: the seq of the record that is refused. */
async function appendMany(store: Store, count: number, bytes: number, poison = 0): Promise<void> {
  const topics = Array.from({ length: count }, (_, i) => (i + 1 === poison ? POISON : undefined));
  await Promise.all(topics.map((topic) => append(store, bytes, topic)));
}

/** Waits until nothing is left to send; a record that rests is tried again after a probe was accepted. */
async function settled(one: World, gaps: number): Promise<void> {
  const { agent, clock } = one;
  const isDrained = drained(agent);
  const accepted = (): number => agent.senders.get('cloud')?.counters.accepted ?? 0;
  const rests = (): boolean =>
    agent.forwarder.streams().every(({ pending, inFlight }) => pending === 1 && inFlight === 0);
  for (;;) {
    await until('it rests or is drained', async () => rests() || (await isDrained()));
    if (await isDrained()) break;
    const before = accepted();
    clock.skip(PROBE_MS);
    await until('a probe is accepted', () => accepted() > before);
    const tries = one.uploads.length;
    clock.skip(AGAIN_MS - PROBE_MS);
    await until('it is tried, or settled', async () => one.uploads.length > tries || (await isDrained()));
  }
  await until('the gaps are in the ledger', async () => (await one.gaps()).length >= gaps);
}

for (const [name, type] of Object.entries(CLOUDS)) {
  t.test(name, async (t) => {
    t.test('too large by the envelope alone: never uploaded, and given up', async (t) => {
      const one = await world(t, type, {});
      const { store } = one.agent;
      const limits = new Map([['telemetry', type.bytesMax]]);
      const streams = [{ name: 'telemetry', filters: ['#'] }];
      const intake = new Intake({ store, streams, envelopeBytes: limits, clock: deps.clock, log });
      const publish = { device: 'dev-1', topic: 'plant/dev-1/temp' };
      const fits = type.bytesMax - ENVELOPE_OVERHEAD_BYTES - 21;
      const payload = systemEntropy.bytes(type.bytesMax);
      t.ok(intake.fits({ ...publish, payload: payload.subarray(0, fits) }), 'the largest that is taken');
      t.notOk(intake.fits({ ...publish, payload }), 'the broker refuses it');
      await append(store, fits);
      await append(store, type.bytesMax - 1);
      await settled(one, 1);
      t.same([...(await one.held())], [[1, 1]]);
      t.same(await one.gaps(), [[2, 2, 'too-large']]);
      t.same(vain(one), [], 'nothing is uploaded in vain');
      t.ok(one.uploads.every(({ bytes }) => bytes <= type.bytesMax));
      t.same(one.health, []);
    });

    t.test('too large for it: another provider that takes it gets it', async (t) => {
      const one = await world(t, type, {}, 16 * 2 ** 20 - 1);
      await append(one.agent.store, 100);
      await append(one.agent.store, type.bytesMax + 1);
      await append(one.agent.store, 100);
      await settled(one, 0);
      await until('all are in the ledger', async () => (await one.held()).size === 3);
      t.same(await one.gaps(), []);
      t.same(vain(one), []);
      t.same(one.health, []);
    });

    t.test('one record in 200 that it refuses is found, and given up alone', async (t) => {
      const one = await world(t, type, { topic: POISON });
      await appendMany(one.agent.store, RECORDS, 20, 60);
      await settled(one, 1);
      await until('the others are in the ledger', async () => (await one.held()).size === RECORDS - 1);
      t.same(await one.gaps(), [[60, 60, 'rejected']]);
      t.same(new Set((await one.held()).values()), new Set([1]), 'each once');
      const most = 2 * Math.log2(RECORDS) + 2;
      const uploaded = vain(one).length;
      t.ok(
        uploaded <= most,
        `${uploaded} uploads in vain, ${JSON.stringify(vain(one).map(({ outcome }) => outcome))}`,
      );
      t.equal(one.refused().messages, uploaded, 'as the cloud counts');
      t.notOk(one.health.includes('cloud open'), `no breaker opens: ${one.health}`);
    });

    const opened = ({ health }: World): number => health.filter((change) => change === 'cloud open').length;

    t.test('a limit that is lower than known is learned', async (t) => {
      const limit = 9000;
      const one = await world(t, type, { bytesMax: limit });
      await append(one.agent.store, 100);
      await append(one.agent.store, limit + 1);
      await appendMany(one.agent.store, 300, 1000);
      await settled(one, 1);
      await until('the others are in the ledger', async () => (await one.held()).size === 301);
      t.same(await one.gaps(), [[2, 2, 'too-large']]);
      const first = vain(one);
      t.ok(first.length <= (type.cuts ? 25 : 15), `${first.length} uploads in vain`);
      await appendMany(one.agent.store, 300, 1000);
      await settled(one, 1);
      await until('all are in the ledger', async () => (await one.held()).size === 601);
      t.ok(vain(one).length <= first.length + 2, `${vain(one).length - first.length} more`);
      t.comment(
        `${name}: ${vain(one).length} in vain, ${vain(one).reduce((sum, { bytes }) => sum + bytes, 0)} bytes`,
      );
      // Several envelopes under way go down with the connection: at first this looks like an outage.
      t.ok(opened(one) <= (type.cuts ? 1 : 0), `${one.health}`);
    });
  });
}
