/** Metrics of streams and publishes. */
import { Counter, Histogram, type Registry } from 'prom-client';
import type { ObservedMetrics } from '../../shared/observed-metrics.ts';
import type { Policy } from '../../shared/policy/policy.ts';
import type { Outcome } from '../providers/publisher.ts';
import type { Store } from '../store/store.ts';
import type { Sender } from './delivery/sender.ts';
import type { Forwarder } from './forwarder.ts';

/** Updated by the senders at each outcome. */
export interface PublishMetrics {
  published(provider: string, outcome: Outcome, latencyMs: number): void;
}

export interface ForwardParts {
  forwarder: Forwarder;
  senders: ReadonlyMap<string, Sender>;
  store: Store;
  policy: () => Policy;
}

export function createPublishMetrics(registry: Registry): PublishMetrics {
  const registers = [registry];
  const outcomes = new Counter({
    name: 'headgate_agent_publishes_total',
    help: 'Envelopes tried at a provider, by outcome.',
    labelNames: ['provider', 'outcome'],
    registers,
  });
  const latency = new Histogram({
    name: 'headgate_agent_publish_duration_seconds',
    help: 'From handing an envelope to the SDK to its acknowledgement.',
    labelNames: ['provider'],
    buckets: [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
    registers,
  });
  return {
    published(provider, outcome, latencyMs) {
      outcomes.inc({ provider, outcome: outcome.kind });
      if (outcome.kind === 'accepted') latency.observe({ provider }, latencyMs / 1000);
    },
  };
}

/** Registers metrics that are read at each scrape. */
export function registerForward(metrics: ObservedMetrics, parts: ForwardParts): void {
  registerStreams(metrics, parts);
  registerSenders(metrics, parts);
  registerHedges(metrics, parts);
}

function registerStreams(metrics: ObservedMetrics, parts: ForwardParts): void {
  const { forwarder } = parts;
  metrics.gauge('stream_pending_records', 'Records not yet delivered.', ['stream'], () =>
    forwarder.streams().map(({ name, pending }) => [{ stream: name }, pending]),
  );
  metrics.gauge(
    'stream_oldest_seconds',
    'Age of the oldest record that still needs a provider.',
    ['stream'],
    () => forwarder.streams().map(({ name, oldestAgeMs }) => [{ stream: name }, (oldestAgeMs ?? 0) / 1000]),
  );
  metrics.gauge(
    'stream_backlog_records',
    'Pending records in the backlog lane, after an outage or a restart.',
    ['stream'],
    () => forwarder.streams().map(({ name, backlog }) => [{ stream: name }, backlog]),
  );
  metrics.gauge(
    'stream_time_to_drain_seconds',
    'Time until the backlog is delivered, at the rate of the last seconds; absent while none of it is delivered.',
    ['stream'],
    () =>
      forwarder.streams().flatMap(({ name, backlog, timeToDrainMs }) => {
        const drainMs = backlog === 0 ? 0 : timeToDrainMs;
        return drainMs === null ? [] : [[{ stream: name }, drainMs / 1000] as const];
      }),
  );
  metrics.counter(
    'stream_delivered_records_total',
    'Records delivered with all their copies.',
    ['stream'],
    () => forwarder.streams().map(({ name, accepted }) => [{ stream: name }, accepted]),
  );
  metrics.counter(
    'stream_fewer_copies_records_total',
    'Records left with fewer copies than asked for, because the other providers refuse them.',
    ['stream'],
    () => forwarder.streams().map(({ name, fewerCopies }) => [{ stream: name }, fewerCopies]),
  );
  metrics.gauge(
    'store_loss_window_seconds',
    'Age of the oldest record that is acknowledged and not on disk.',
    ['stream'],
    () => lossWindows(parts).map(({ stream, ageMs }) => [{ stream }, ageMs / 1000]),
  );
}

function registerSenders(metrics: ObservedMetrics, { senders }: ForwardParts): void {
  metrics.gauge('provider_in_flight', 'Envelopes under way.', ['provider'], () =>
    [...senders].map(([provider, sender]) => [{ provider }, sender.inFlight]),
  );
  metrics.gauge(
    'provider_fault',
    'One for the cause of the last failure, until a publish is accepted.',
    ['provider', 'cause'],
    () =>
      [...senders].flatMap(([provider, { fault }]) =>
        fault === null ? [] : [[{ provider, cause: fault.cause }, 1] as const],
      ),
  );
  metrics.gauge('provider_backlog_window_bytes', 'Most bytes of the backlog under way.', ['provider'], () =>
    [...senders].map(([provider, sender]) => [{ provider }, sender.backlogWindowBytes]),
  );
  metrics.counter(
    'publishes_abandoned_total',
    'Tries that an SDK did not settle after their deadline.',
    ['provider'],
    () => [...senders].map(([provider, { counters }]) => [{ provider }, counters.abandoned]),
  );
  metrics.counter('provider_units_total', 'Units the provider will bill, as predicted.', ['provider'], () =>
    [...senders].map(([provider, { counters }]) => [{ provider }, counters.units]),
  );
}

function registerHedges(metrics: ObservedMetrics, { forwarder: { hedging } }: ForwardParts): void {
  metrics.counter(
    'hedges_sent_total',
    'Envelopes that went to a second provider, by the slow provider.',
    ['provider'],
    () => [...hedging.counters].map(([provider, { sent }]) => [{ provider }, sent]),
  );
  metrics.counter(
    'hedges_ended_total',
    'How hedges ended: won, lost (both delivered), cancelled or failed.',
    ['provider', 'end'],
    () =>
      [...hedging.counters].flatMap(([provider, { sent: _, ...ends }]) =>
        Object.entries(ends).map(([end, count]) => [{ provider, end }, count] as const),
      ),
  );
}

/**
 * By stream, in milliseconds: 0 where every acknowledged record is on disk. A record of a memory stream
 * counts for as long as it waits.
 */
function lossWindows({ store, forwarder, policy }: ForwardParts): Array<{ stream: string; ageMs: number }> {
  const { streams } = policy();
  const held = new Map(store.lossWindows().map(({ stream, ageMs }) => [stream, ageMs]));
  return forwarder.streams().map(({ name, oldestAgeMs }) => ({
    stream: name,
    ageMs: streams[name]?.durability === 'memory' ? (oldestAgeMs ?? 0) : (held.get(name) ?? 0),
  }));
}
