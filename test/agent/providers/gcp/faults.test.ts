/**
 * Every fault of the loopback against the real SDK over TLS and JWT: the outcome, what arrives, and how soon
 * service is normal again.
 */
import t from 'tap';
import { openGcpPublisher } from '../../../../agent/providers/gcp/publisher.ts';
import type { Outcome, Publisher } from '../../../../agent/providers/publisher.ts';
import { FAULT_NAMES, type FaultName, fault } from '../../../../loopback/faults.ts';
import { PubSubSource } from '../../../../router/sources/pubsub/source.ts';
import { attempt } from '../../../attempt.ts';
import { deps, envelope, startGcp } from '../../../loopback/gcp-support.ts';
import { turns } from '../../../turns.ts';
import { until } from '../../../until.ts';

/** Of a try under a fault, which may pass. */
const DEADLINE_MS = 1000;
const LONG_MS = 60_000;

t.setTimeout(300_000);

interface Expected {
  /** On an open connection, and on a new one. */
  open: string;
  fresh: string;
  /** How often a message published under the fault reaches the router. */
  arrivals: number;
}

const EXPECTED: Record<FaultName, Expected> = {
  refuse: { open: 'retryable/connection-refused', fresh: 'retryable/connection-refused', arrivals: 0 },
  blackhole: { open: 'unknown/deadline', fresh: 'retryable/timeout', arrivals: 0 },
  slow: { open: 'unknown/deadline', fresh: 'retryable/timeout', arrivals: 1 },
  // It has only begun to grow.
  'slow-ramp': { open: 'accepted', fresh: 'accepted', arrivals: 1 },
  throttle: { open: 'throttled/quota', fresh: 'throttled/quota', arrivals: 0 },
  error: { open: 'retryable/unavailable', fresh: 'retryable/unavailable', arrivals: 0 },
  html503: { open: 'unknown/connection-lost', fresh: 'retryable/unavailable', arrivals: 0 },
  brownout: { open: 'retryable/unavailable', fresh: 'retryable/unavailable', arrivals: 0 },
  reset: { open: 'unknown/connection-lost', fresh: 'retryable/connection-reset', arrivals: 0 },
  unauthorized: {
    open: 'rejected/provider/unauthorized',
    fresh: 'rejected/provider/unauthorized',
    arrivals: 0,
  },
  'ack-lost': { open: 'unknown/connection-lost', fresh: 'unknown/connection-lost', arrivals: 1 },
  duplicate: { open: 'accepted', fresh: 'accepted', arrivals: 2 },
  reorder: { open: 'accepted', fresh: 'accepted', arrivals: 1 },
  'drop-after-ack': { open: 'accepted', fresh: 'accepted', arrivals: 0 },
  late: { open: 'accepted', fresh: 'accepted', arrivals: 1 },
  'credentials-silent': { open: 'accepted', fresh: 'accepted', arrivals: 1 },
  flap: { open: 'retryable/connection-refused', fresh: 'retryable/connection-refused', arrivals: 0 },
};

t.test('each fault has its outcome, and service is normal after it', async (t) => {
  const { cloud, agent, router } = await startGcp(t);
  const arrived = new Map<string, number>();
  const source = new PubSubSource('gcp', router, deps);
  await source.start(async ({ bytes }) => {
    const text = Buffer.from(bytes).toString();
    arrived.set(text, (arrived.get(text) ?? 0) + 1);
    return 'settle';
  });
  t.after(() => source.stop());

  const run = async (name: FaultName, publisher: Publisher, when: 'open' | 'fresh'): Promise<void> => {
    const text = `${name} ${when}`;
    await cloud.setFault(
      fault(name, { latencyMs: 2000, jitterMs: 0, ...(name === 'slow-ramp' && { periodMs: 600_000 }) }),
    );
    // The client learns of a cut connection some turns later; messages sent before that are lost on the way.
    await turns();
    const outcome = await publisher.publish(envelope(text), attempt(DEADLINE_MS));
    t.equal(nameOf(outcome), EXPECTED[name][when], `${text}: ${JSON.stringify(outcome)}`);
    await cloud.setFault(null);
    const marker = `after ${text}`;
    await accepted(publisher, marker);
    await until('it arrives', () => arrived.has(marker));
    // On a connection that had to be made first, a slow line let nothing out before the deadline.
    const arrivals = name === 'slow' && when === 'fresh' ? 0 : EXPECTED[name].arrivals;
    t.equal(arrived.get(text) ?? 0, arrivals, `${text}: arrivals`);
  };

  for (const name of FAULT_NAMES) {
    const publisher = await openGcpPublisher(agent, deps);
    await accepted(publisher, 'warm up');
    await run(name, publisher, 'open');
    await publisher.close();
    const fresh = await openGcpPublisher(agent, deps);
    await run(name, fresh, 'fresh');
    await fresh.close();
  }
});

async function accepted(publisher: Publisher, text: string): Promise<void> {
  await until('a publish is accepted', async () => {
    const outcome = await publisher.publish(envelope(text), attempt(LONG_MS));
    return outcome.kind === 'accepted';
  });
}

function nameOf(outcome: Outcome): string {
  const scope = outcome.kind === 'rejected' ? [outcome.scope] : [];
  const cause = 'cause' in outcome ? [outcome.cause] : [];
  return [outcome.kind, ...scope, ...cause].join('/');
}
