/**
 * Shared by the tests of receipts: the forwarder of a stream that waits for receipts, between a real store,
 * providers that deliver to a router's rules (or do not), and the receipts that these rules make.
 */

import type { Test } from 'tap';
import { ReceiptTracker } from '../../../agent/downlink/receipt-tracker.ts';
import type { Publisher } from '../../../agent/providers/publisher.ts';
import {
  absorb,
  completenessOf,
  EMPTY_STREAM,
  type StreamState,
} from '../../../router/ledger/rules/rules.ts';
import { streamReceipts } from '../../../router/receipts/receipt.ts';
import { decodeEnvelope } from '../../../shared/envelope/codec.ts';
import { type Envelope, HEARTBEAT_STREAM } from '../../../shared/envelope/envelope.ts';
import type { StreamKey } from '../../../shared/record.ts';
import { latency } from '../../latency.ts';
import { SkippingClock } from '../../skipping-clock.ts';
import { type Agent as Forwarding, agentOn as forwardingOn } from './fixture.ts';

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

export interface Agent extends Pick<Forwarding, 'store' | 'forwarder' | 'routing'> {
  clock: SkippingClock;
  tracker: ReceiptTracker;
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
  const counts = new Map<string, number>();
  const publisher = (provider: string): Publisher => ({
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
  });
  const forwarding = await forwardingOn(file, {
    providers,
    publisher,
    clock,
    receipts: true,
    stream: { until: 'receipt', preferred_providers: ['a'], ...stream },
    policy: { failover: { dwell: '100ms', receipt_lag: `${LAG_MS}ms` } },
  });
  const { store, forwarder, routing, log, logged: lines } = forwarding;
  const tracker = new ReceiptTracker({
    streams: () => forwarder.queued(),
    settlements: forwarder.settlements,
    routing,
    providers,
    lagMs: LAG_MS,
    clock,
    log,
  });
  let stopped: Promise<void> | null = null;
  const stop = (): Promise<void> => {
    stopped ??= forwarding.stop();
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
