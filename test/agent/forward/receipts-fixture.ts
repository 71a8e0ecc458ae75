/**
 * Shared by the tests of receipts: the forwarder of a stream that waits for receipts, between a real store,
 * providers that deliver to a router's rules (or do not), and the receipts that these rules make.
 */

import type { Test } from 'tap';
import { ReceiptTracker } from '../../../agent/downlink/receipt-tracker.ts';
import { Sender } from '../../../agent/forward/delivery/sender.ts';
import { Forwarder } from '../../../agent/forward/forwarder.ts';
import type { Publisher } from '../../../agent/providers/publisher.ts';
import { LiveRouting } from '../../../agent/routing/live-routing.ts';
import type { Store } from '../../../agent/store/store.ts';
import {
  absorb,
  completenessOf,
  EMPTY_STREAM,
  type StreamState,
} from '../../../router/ledger/rules/rules.ts';
import { streamReceipts } from '../../../router/receipts/receipt.ts';
import { decodeEnvelope } from '../../../shared/envelope/codec.ts';
import { type Envelope, HEARTBEAT_STREAM } from '../../../shared/envelope/envelope.ts';
import { createLogger } from '../../../shared/log.ts';
import { policySchema } from '../../../shared/policy/policy.ts';
import type { StreamKey } from '../../../shared/record.ts';
import { latency } from '../../latency.ts';
import { SkippingClock } from '../../skipping-clock.ts';
import { storeOn } from '../store/fixture.ts';

export const LAG_MS = 10_000;
export const GATEWAY = 'gw-1';

/** A router by its rules alone. */
export class Router {
  readonly arrived: Envelope[] = [];
  readonly #streams = new Map<string, { key: StreamKey; state: StreamState }>();
  #version = 0;

  take(envelope: Envelope): void {
    if (envelope.stream === HEARTBEAT_STREAM) return;
    this.arrived.push(envelope);
    const { gateway, epoch, stream } = envelope;
    const name = `${epoch}/${stream}`;
    const before = this.#streams.get(name)?.state ?? EMPTY_STREAM;
    this.#streams.set(name, {
      key: { gateway, epoch, stream },
      state: absorb(before, envelope, { verified: true }).state,
    });
  }

  receipt() {
    this.#version += 1;
    const all = [...this.#streams.values()].map(({ key, state }) => completenessOf(key, state));
    return { gateway: GATEWAY, version: this.#version, streams: streamReceipts(all, () => 0) };
  }
}

export interface Agent {
  clock: SkippingClock;
  store: Store;
  tracker: ReceiptTracker;
  forwarder: Forwarder;
  routing: LiveRouting;
  lines: Array<Record<string, unknown>>;
  /** Publishes with records or gaps that the provider acknowledged. */
  acknowledged(provider: string): number;
  stop(): Promise<void>;
}

interface Setup {
  router: Router;
  /** Acknowledge, and deliver nothing. */
  grey?: Set<string>;
  stream?: Record<string, unknown>;
  providers?: string[];
}

export async function agentOn(t: Test, file: string, setup: Setup): Promise<Agent> {
  const { router, grey = new Set(), stream = {}, providers = ['a', 'b'] } = setup;
  const clock = new SkippingClock();
  const { store } = storeOn(file);
  const lines: Agent['lines'] = [];
  const log = createLogger({ level: 'info', levels: {} }, { write: (line) => lines.push(JSON.parse(line)) });
  const telemetry = {
    topics: ['#'],
    until: 'receipt',
    preferred_providers: ['a'],
    linger: '10ms',
    ...stream,
  };
  const parsed = policySchema.parse({ streams: { telemetry }, failover: { dwell: '100ms' } });
  const policy = { ...parsed, failover: { ...parsed.failover, receipt_lag: LAG_MS } };
  const facts = { type: 'mqtt', region: 'none', enabled: true, priority: 1, slaPercent: 99.9 } as const;
  const all = providers.map((name) => ({ name, ...facts, certifications: [] }));
  const routing = new LiveRouting({ policy, providers: all, clock, log });
  const counts = new Map<string, number>();
  const senders = new Map(
    providers.map((provider) => {
      const publisher: Publisher = {
        type: 'mqtt',
        maxEnvelopeBytes: 128_000,
        async publish(message) {
          await latency(5);
          const envelope = decodeEnvelope(message.bytes);
          if (envelope.stream !== HEARTBEAT_STREAM) counts.set(provider, (counts.get(provider) ?? 0) + 1);
          if (!grey.has(provider)) router.take(envelope);
          return { kind: 'accepted' };
        },
        close: () => Promise.resolve(),
      };
      const ignored = { count: () => 0, onOutcome: () => undefined };
      return [provider, new Sender({ provider, publisher, routing, clock, log, ...ignored })];
    }),
  );
  const forwarder = new Forwarder({
    gateway: GATEWAY,
    policy,
    store,
    routing,
    senders,
    currentClock: () => ({ bootId: 'boot-1', offsetMs: 0, quality: 'synchronised' }),
    clock,
    log,
    receipts: true,
  });
  const tracker = new ReceiptTracker({
    streams: () => forwarder.queued(),
    settlements: forwarder.settlements,
    routing,
    providers,
    lagMs: LAG_MS,
    clock,
    log,
  });
  await store.start();
  await forwarder.start();
  let stopped: Promise<void> | null = null;
  const stop = (): Promise<void> => {
    stopped ??= forwarder.stop().then(() => store.stop());
    return stopped;
  };
  t.teardown(stop);
  const acknowledged = (name: string) => counts.get(name) ?? 0;
  return { clock, store, tracker, forwarder, routing, lines, acknowledged, stop };
}

/** The downlink's action at each answer. */
export function hear({ tracker }: Agent, router: Router): void {
  tracker.apply(router.receipt());
  tracker.onRouterAnswer();
}

/** Its action at a receipt through a cloud. */
export function bring({ tracker }: Agent, receipt: ReturnType<Router['receipt']>): void {
  tracker.apply(receipt);
  tracker.onCloudReceipt();
}

export const rows = async ({ store }: Agent): Promise<number> => (await store.stats()).rows;
export const kept = ({ forwarder }: Agent): number =>
  forwarder.streams().reduce((sum, { awaitingReceipt }) => sum + awaitingReceipt, 0);
