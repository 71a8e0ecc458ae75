/**
 * A record that needs longer than a deadline on a thin uplink, for each type of provider with its real SDK:
 * the uplink carries the beginning of each connection, and no more until the record is given more time.
 */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { Outcome, Publisher } from '../../../agent/providers/publisher.ts';
import { HEARTBEAT_STREAM } from '../../../shared/envelope/envelope.ts';
import { SkippingClock } from '../../skipping-clock.ts';
import { until } from '../../until.ts';
import { KINDS, type Kind } from '../providers/kinds.ts';
import { startTunnel } from '../providers/tunnel.ts';
import { bufferFile, texts } from '../store/fixture.ts';
import { type Agent, agentOn, drained } from './fixture.ts';

t.setTimeout(300_000);
t.jobs = 5;

/** Every type takes it, and no connection carries it before the release. */
const RECORD_BYTES = 100_000;
const CARRIED_BYTES = 48_000;
const DEADLINE_MS = 2500;

/** Never skips: the time that a try has is read from it. */
const clock = new SkippingClock();

interface Upload {
  givenMs: number;
  outcome: string;
}

async function append({ store }: Agent, payload: Uint8Array): Promise<void> {
  await store.append({
    stream: 'telemetry',
    device: 'dev-1',
    topic: 'plant/dev-1/image',
    payload,
    monoMs: 12,
  });
}

/** Tells of each upload of the record. `onUpload`: with the time that it has. */
function watched(publisher: Publisher, uploads: Upload[], onUpload: (givenMs: number) => void): Publisher {
  return {
    type: publisher.type,
    get maxEnvelopeBytes() {
      return publisher.maxEnvelopeBytes;
    },
    async publish(message, attempt) {
      const isRecord = message.stream !== HEARTBEAT_STREAM && message.bytes.length > RECORD_BYTES;
      const givenMs = attempt.endsAtMs - clock.monoMs();
      if (isRecord) onUpload(givenMs);
      const outcome: Outcome = await publisher.publish(message, attempt);
      if (isRecord) uploads.push({ givenMs, outcome: outcome.kind });
      return outcome;
    },
    close: () => publisher.close(),
  };
}

async function overThinUplink(t: Test, kind: Kind): Promise<void> {
  const cloud = await kind.start(t);
  const tunnel = await startTunnel(t, cloud.port);
  tunnel.thin(CARRIED_BYTES);
  const uploads: Upload[] = [];
  const publisher = watched(await cloud.open(tunnel.port), uploads, (givenMs) => {
    if (givenMs > 1.5 * DEADLINE_MS) tunnel.release();
  });
  // The clouds use the test's own folder.
  const directory = mkdtempSync(join(tmpdir(), 'headgate-thin-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const agent = await agentOn(bufferFile(directory), {
    providers: ['cloud'],
    publisher: () => publisher,
    policy: {
      failover: { deadline_min: `${DEADLINE_MS}ms`, deadline_max: `${DEADLINE_MS}ms`, failures_to_open: 1 },
    },
  });
  const health: string[] = [];
  agent.routing.onStep((_, effects) => {
    for (const effect of effects)
      if (effect.kind === 'health' && effect.to === 'open') health.push(effect.reason);
  });
  await until('it is known to work', () => (agent.senders.get('cloud')?.counters.accepted ?? 0) > 0);
  // A busy machine may have connected late.
  health.length = 0;
  await append(agent, randomBytes(RECORD_BYTES));
  await until('the record missed its deadline', () => uploads.length > 0);
  for (const text of texts(3)) await append(agent, Buffer.from(text));
  await until('the buffer is drained', drained(agent));
  const failed = agent.logged.filter(({ event }) => event === 'publish.failed');
  t.same(
    uploads.map(({ outcome }) => outcome),
    ['unknown', 'accepted'],
    JSON.stringify(uploads),
  );
  t.same(health, [], `it never counts against the provider: ${JSON.stringify(failed)}`);
  t.same(agent.store.evicted, []);
  await agent.stop();
}

for (const [name, kind] of Object.entries(KINDS)) t.test(name, (t) => overThinUplink(t, kind));
