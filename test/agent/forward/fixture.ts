/** A forwarder between a real store and publishers that answer as told. */

import { Sender } from '../../../agent/forward/delivery/sender.ts';
import { Forwarder } from '../../../agent/forward/forwarder.ts';
import type { Protect } from '../../../agent/keys/protection.ts';
import type { OutboundEnvelope, Outcome, Publisher } from '../../../agent/providers/publisher.ts';
import { LiveRouting } from '../../../agent/routing/live-routing.ts';
import type { Store } from '../../../agent/store/store.ts';
import { type Clock, systemClock } from '../../../shared/clock.ts';
import { systemEntropy } from '../../../shared/entropy.ts';
import { decodeEnvelope } from '../../../shared/envelope/codec.ts';
import { type Envelope, HEARTBEAT_STREAM } from '../../../shared/envelope/envelope.ts';
import { createLogger, type Logger } from '../../../shared/log.ts';
import { policySchema } from '../../../shared/policy/policy.ts';
import { latency } from '../../latency.ts';
import { storeOn } from '../store/fixture.ts';

export const ANSWER_MS = 40;
const DOWN: Outcome = { kind: 'retryable', cause: 'unavailable', detail: '' };

export interface AgentOptions {
  providers: string[];
  redundancy?: number;
  /** Providers that take nothing. */
  down?: ReadonlySet<string>;
  /** Instead of one that answers as told here. */
  publisher?: (provider: string) => Publisher | null;
  /** Instead of an acceptance after {@link ANSWER_MS}; null: as otherwise. */
  answer?: (provider: string, message: OutboundEnvelope, deadlineMs: number) => Promise<Outcome> | null;
  /** Of routing and forwarding; the store keeps the system's. */
  clock?: Clock;
  /** Default: neither signed nor sealed. */
  protect?: Protect;
  /** Rows of streams with `until: receipt` wait for one. */
  receipts?: boolean;
  /** Parts of the policy. */
  stream?: Record<string, unknown>;
  policy?: Record<string, unknown>;
}

export interface Agent {
  store: Store;
  forwarder: Forwarder;
  routing: LiveRouting;
  senders: ReadonlyMap<string, Sender>;
  /** The envelopes that the providers accepted, heartbeats left out. */
  accepted: Array<{ provider: string; envelope: Envelope }>;
  /** Publishes under way at one provider at one time, at most, heartbeats among them. */
  mostInFlight(provider?: string): number;
  /** Publishers that were closed, in order. */
  closed: string[];
  log: Logger;
  /** Its lines. */
  logged: Array<Record<string, unknown>>;
  stop(): Promise<void>;
}

/** A store on `file` with a forwarder. */
export async function agentOn(file: string, options: AgentOptions): Promise<Agent> {
  const { clock = systemClock } = options;
  const { store } = storeOn(file);
  const logged: Agent['logged'] = [];
  const log = createLogger({ level: 'info', levels: {} }, { write: (line) => logged.push(JSON.parse(line)) });
  const telemetry = {
    topics: ['#'],
    redundancy: options.redundancy ?? 1,
    linger: '10ms',
    ...options.stream,
  };
  const policy = policySchema.parse({
    streams: { telemetry },
    failover: { open_for: '100ms', open_max: '100ms' },
    ...options.policy,
  });
  const providers = options.providers.map((name) => ({
    name,
    type: 'mqtt' as const,
    region: 'us-east-1',
    enabled: true,
    priority: 1,
    slaPercent: 99.9,
    certifications: [],
  }));
  const routing = new LiveRouting({ policy, providers, clock, log });
  const accepted: Agent['accepted'] = [];
  const closed: string[] = [];
  const most = new Map<string, number>();
  const publisherOf = (provider: string): Publisher => {
    let inFlight = 0;
    return {
      type: 'mqtt',
      maxEnvelopeBytes: 128_000,
      async publish(message, { endsAtMs }) {
        inFlight += 1;
        most.set(provider, Math.max(most.get(provider) ?? 0, inFlight));
        const told = await options.answer?.(provider, message, endsAtMs - clock.monoMs());
        if (!told) await latency(ANSWER_MS);
        inFlight -= 1;
        const outcome = options.down?.has(provider) ? DOWN : (told ?? { kind: 'accepted' });
        if (outcome.kind !== 'accepted') return outcome;
        const envelope = decodeEnvelope(message.bytes);
        if (envelope.stream !== HEARTBEAT_STREAM) accepted.push({ provider, envelope });
        return outcome;
      },
      async close() {
        closed.push(provider);
      },
    };
  };
  const senders = new Map(
    options.providers.map((provider) => {
      const sender = new Sender({
        provider,
        publisher: options.publisher?.(provider) ?? publisherOf(provider),
        routing,
        clock,
        log,
        count: () => 0,
        onOutcome: () => undefined,
      });
      return [provider, sender];
    }),
  );
  const forwarder = new Forwarder({
    gateway: 'gw-1',
    policy,
    store,
    routing,
    senders,
    currentClock: () => ({ bootId: 'boot-1', offsetMs: 0, quality: 'synchronised' }),
    clock,
    log,
    ...(options.protect && { protect: options.protect }),
    ...(options.receipts && { receipts: true }),
  });
  await store.start();
  await forwarder.start();
  return {
    store,
    forwarder,
    routing,
    senders,
    accepted,
    closed,
    log,
    logged,
    mostInFlight: (provider) =>
      provider === undefined ? Math.max(0, ...most.values()) : (most.get(provider) ?? 0),
    async stop() {
      await forwarder.stop();
      await store.stop();
    },
  };
}

export const drained = (agent: Agent) => async (): Promise<boolean> => (await agent.store.stats()).rows === 0;

export const seqsOf = (agent: Agent, provider: string): number[] =>
  agent.accepted
    .filter((one) => one.provider === provider)
    .flatMap(({ envelope }) => envelope.records.map(({ seq }) => seq));

/** Records of 1 kB that do not shrink, so that some of them fill an envelope. */
export function incompressible(count: number): string[] {
  return Array.from({ length: count }, () => Buffer.from(systemEntropy.bytes(750)).toString('base64'));
}
