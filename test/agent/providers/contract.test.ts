/**
 * The contract of every publisher (agent/providers/publisher.ts), held to all five with their real SDKs, over
 * a tunnel to the real thing or to the loopback cloud.
 */
import t, { type Test } from 'tap';
import type { Publisher } from '../../../agent/providers/publisher.ts';
import { attempt } from '../../attempt.ts';
import { envelope } from '../../loopback/gcp-support.ts';
import { until } from '../../until.ts';
import { brief } from './credentials/support.ts';
import { type Cloud, KINDS, type Kind } from './kinds.ts';
import { startTunnel, type Tunnel } from './tunnel.ts';

t.setTimeout(300_000);

/** Longer than any try of a passing test. */
const LONG_MS = 120_000;
/** A deadline that is meant to pass. */
const SHORT_MS = 300;
/** More than any of them has in flight. */
const MANY = 20;

interface World {
  cloud: Cloud;
  tunnel: Tunnel;
  publisher: Publisher;
  /** One publish that is accepted. */
  accepted(): Promise<void>;
}

async function world(t: Test, kind: Kind): Promise<World> {
  const cloud = await kind.start(t);
  const tunnel = await startTunnel(t, cloud.port);
  const publisher = await cloud.open(tunnel.port);
  t.after(() => publisher.close());
  const accepted = async (): Promise<void> => {
    await until('a publish is accepted', async () => {
      const outcome = await publisher.publish(envelope('x'), attempt(LONG_MS));
      return outcome.kind === 'accepted';
    });
  };
  return { cloud, tunnel, publisher, accepted };
}

for (const [name, kind] of Object.entries(KINDS)) {
  t.test(name, async (t) => {
    t.test('taken back before it left, it never leaves', async (t) => {
      const { cloud, tunnel, publisher, accepted } = await world(t, kind);
      const early = await publisher.publish(envelope('x'), attempt(LONG_MS, AbortSignal.abort()));
      t.same([early.kind, 'sent' in early && early.sent], ['cancelled', false], 'before it began');
      tunnel.hold('all');
      const abort = new AbortController();
      const connecting = publisher.publish(envelope('x'), attempt(LONG_MS, abort.signal));
      await until('it connects', () => tunnel.opened() === 1);
      abort.abort();
      const outcome = await connecting;
      t.same([outcome.kind, 'sent' in outcome && outcome.sent], ['cancelled', false], 'while it connects');
      tunnel.release();
      await accepted();
      t.equal(cloud.arrived(), 1, 'only the one that followed');
    });

    t.test('taken back while it waits for a place, it never leaves, and its place is free', async (t) => {
      const { cloud, tunnel, publisher, accepted } = await world(t, kind);
      await accepted();
      tunnel.hold('answers');
      const inFlight = Array.from({ length: MANY }, () => publisher.publish(envelope('x'), attempt(LONG_MS)));
      const abort = new AbortController();
      const waiting = publisher.publish(envelope('x'), attempt(LONG_MS, abort.signal));
      abort.abort();
      const outcome = await waiting;
      t.same([outcome.kind, 'sent' in outcome && outcome.sent], ['cancelled', false]);
      tunnel.release();
      t.same(new Set((await Promise.all(inFlight)).map(brief)), new Set(['accepted']));
      t.equal(cloud.arrived(), MANY + 1);
    });

    t.test('taken back after it left, it ends as the protocol can', async (t) => {
      const { cloud, tunnel, publisher, accepted } = await world(t, kind);
      await accepted();
      tunnel.hold('answers');
      const abort = new AbortController();
      const sent = publisher.publish(envelope('x'), attempt(LONG_MS, abort.signal));
      await until('it arrives', () => cloud.arrived() === 2);
      abort.abort();
      if (!kind.isRecallable) tunnel.release();
      const outcome = await sent;
      if (kind.isRecallable) t.match(outcome, { kind: 'cancelled', sent: true });
      else t.match(outcome, { kind: 'accepted' }, 'its acceptance is billed and known');
    });

    t.test('at its deadline it is unknown when it has left, and retryable when not', async (t) => {
      const { cloud, tunnel, publisher, accepted } = await world(t, kind);
      tunnel.hold('all');
      t.equal(brief(await publisher.publish(envelope('x'), attempt(SHORT_MS))), 'retryable/timeout');
      t.equal(cloud.arrived(), 0);
      tunnel.release();
      await accepted();
      tunnel.hold('answers');
      t.equal(brief(await publisher.publish(envelope('x'), attempt(SHORT_MS))), 'unknown/deadline');
    });

    t.test('answered after its deadline, it changes nothing', async (t) => {
      const { cloud, tunnel, publisher, accepted } = await world(t, kind);
      await accepted();
      tunnel.hold('answers');
      const late = publisher.publish(envelope('x'), attempt(SHORT_MS));
      await until('it arrives', () => cloud.arrived() === 2);
      t.equal(brief(await late), 'unknown/deadline');
      tunnel.release();
      await accepted();
    });

    t.test('closed, what has left is unknown, and the rest was not sent', async (t) => {
      const { cloud, tunnel, publisher, accepted } = await world(t, kind);
      await accepted();
      tunnel.hold('answers');
      const sent = publisher.publish(envelope('x'), attempt(LONG_MS));
      await until('it arrives', () => cloud.arrived() === 2);
      await publisher.close();
      t.equal(brief(await sent), 'unknown/connection-lost');

      const other = await cloud.open(tunnel.port);
      t.after(() => other.close());
      const opened = tunnel.opened();
      tunnel.hold('all');
      const connecting = other.publish(envelope('x'), attempt(LONG_MS));
      await until('it connects', () => tunnel.opened() > opened);
      await other.close();
      t.equal(brief(await connecting), 'retryable/not-connected');
    });

    t.test('a connection that ends takes its tries with it: one loss, one value', async (t) => {
      const { cloud, tunnel, publisher, accepted } = await world(t, kind);
      // Where each try has a connection, three stand before the answers are held: a handshake needs them.
      await Promise.all([accepted(), accepted(), accepted()]);
      const before = cloud.arrived();
      tunnel.hold('answers');
      const sent = [1, 2, 3].map(() => publisher.publish(envelope('x'), attempt(LONG_MS)));
      await until('they arrive', () => cloud.arrived() === before + 3);
      tunnel.cut();
      const outcomes = await Promise.all(sent);
      t.same(new Set(outcomes.map(brief)), new Set(['unknown/connection-lost']));
      t.equal(new Set(outcomes).size, kind.isShared ? 1 : 3);
      tunnel.release();
      await accepted();
    });

    t.test('closed twice, it stays closed', async (t) => {
      const { cloud, publisher, accepted } = await world(t, kind);
      await accepted();
      await Promise.all([publisher.close(), publisher.close()]);
      await publisher.close();
      t.equal(brief(await publisher.publish(envelope('x'), attempt(LONG_MS))), 'retryable/not-connected');
      t.equal(cloud.arrived(), 1);
    });

    t.test('a connection that went silent is abandoned for a new one', async (t) => {
      const { tunnel, publisher, accepted } = await world(t, kind);
      await accepted();
      const opened = tunnel.opened();
      tunnel.swallowOpen();
      const outcomes: string[] = [];
      await until('a publish is accepted', async () => {
        outcomes.push(brief(await publisher.publish(envelope('x'), attempt(SHORT_MS))));
        return outcomes.at(-1) === 'accepted';
      });
      t.equal(outcomes[0], 'unknown/deadline');
      t.ok(tunnel.opened() > opened, 'over a new one');
    });
  });
}
