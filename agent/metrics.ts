/** What the agent measures, by Prometheus' naming conventions (base units, `_total` on counters). */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { Broker } from './broker/broker.ts';
import type { Sessions } from './broker/persistence/sessions.ts';
import type { Sender } from './forward/delivery/sender.ts';
import type { Forwarder } from './forward/forwarder.ts';
import type { Outcome } from './providers/publisher.ts';
import type { LiveRouting } from './routing/live-routing.ts';
import { DISK_STATES } from './store/disk-state.ts';
import type { Store } from './store/store.ts';

const PREFIX = 'headgate_agent_';
const LAG_QUANTILES = [0.5, 0.99, 1];
/** How often a timer fires to measure it; what perf_hooks reports is the time from one to the next. */
const LAG_RESOLUTION_MS = 10;
const HEALTH_VALUES = ['healthy', 'degraded', 'probing', 'open'] as const;

/** Told by the senders as it happens; everything else is read when Prometheus asks. */
export interface PublishMetrics {
  published(provider: string, outcome: Outcome, latencyMs: number): void;
}

export interface Measured {
  broker: Broker;
  sessions: Sessions;
  store: Store;
  forwarder: Forwarder;
  routing: LiveRouting;
  senders: ReadonlyMap<string, Sender>;
  /** Streams that are never written. */
  memoryStreams: ReadonlySet<string>;
}

export function createPublishMetrics(registry: Registry): PublishMetrics {
  const registers = [registry];
  const outcomes = new Counter({
    name: `${PREFIX}publishes_total`,
    help: 'Envelopes tried at a provider, by outcome.',
    labelNames: ['provider', 'outcome'],
    registers,
  });
  const latency = new Histogram({
    name: `${PREFIX}publish_duration_seconds`,
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

/** Gauges and counters that are read from the parts when they are asked for. */
export function registerMeasured(registry: Registry, parts: Measured): void {
  const registers = [registry];
  const loopLag = monitorEventLoopDelay({ resolution: LAG_RESOLUTION_MS });
  loopLag.enable();
  const gauge = (name: string, help: string, labelNames: string[], collect: (gauge: Gauge) => void): void => {
    new Gauge({
      name: PREFIX + name,
      help,
      labelNames,
      registers,
      collect() {
        this.reset();
        collect(this);
      },
    });
  };
  gauge('broker_connections', 'MQTT connections now.', [], (g) => g.set(parts.broker.stats().connections));
  gauge('broker_sessions', 'Clients with a session that outlives their connection.', [], (g) =>
    g.set(parts.sessions.counts().sessions),
  );
  gauge('broker_retained_messages', 'Retained messages.', [], (g) => g.set(parts.sessions.counts().retained));
  gauge('broker_queued_messages', 'Messages that wait for clients.', [], (g) =>
    g.set(parts.sessions.counts().queuedMessages),
  );
  gauge('broker_queued_bytes', 'Their bytes.', [], (g) => g.set(parts.sessions.counts().queuedBytes));
  gauge('stream_pending_records', 'Records that wait for a provider.', ['stream'], (g) => {
    for (const { name, pending } of parts.forwarder.streams()) g.set({ stream: name }, pending);
  });
  gauge('stream_oldest_seconds', 'Age of the oldest record not yet sent.', ['stream'], (g) => {
    for (const { name, oldestAgeMs } of parts.forwarder.streams())
      g.set({ stream: name }, (oldestAgeMs ?? 0) / 1000);
  });
  gauge('stream_backlog_records', 'Of these, what waited out an outage or a restart.', ['stream'], (g) => {
    for (const { name, backlog } of parts.forwarder.streams()) g.set({ stream: name }, backlog);
  });
  gauge(
    'stream_time_to_drain_seconds',
    'Until the backlog is delivered, at the pace of the last seconds; absent when nothing of it leaves.',
    ['stream'],
    (g) => {
      for (const { name, backlog, timeToDrainMs } of parts.forwarder.streams()) {
        if (backlog === 0) g.set({ stream: name }, 0);
        else if (timeToDrainMs !== null) g.set({ stream: name }, timeToDrainMs / 1000);
      }
    },
  );
  gauge('provider_health', 'One for the state that the provider is in.', ['provider', 'state'], (g) => {
    for (const { provider, health } of parts.routing.providers()) {
      for (const state of HEALTH_VALUES) g.set({ provider, state }, state === health ? 1 : 0);
    }
  });
  gauge('provider_in_flight', 'Envelopes under way.', ['provider'], (g) => {
    for (const [provider, sender] of parts.senders) g.set({ provider }, sender.inFlight);
  });
  gauge('provider_backlog_window_bytes', 'Of the backlog, what may be under way.', ['provider'], (g) => {
    for (const [provider, sender] of parts.senders) g.set({ provider }, sender.backlogWindowBytes);
  });
  gauge('store_up', 'One when the buffer takes records.', [], (g) =>
    g.set(parts.store.state() === 'ok' ? 1 : 0),
  );
  gauge('store_state', 'One for the state that the disk under the buffer is in.', ['state'], (g) => {
    for (const state of DISK_STATES) g.set({ state }, state === parts.store.state() ? 1 : 0);
  });
  gauge('event_loop_lag_seconds', 'How late timers fire, since the last scrape.', ['quantile'], (g) => {
    for (const quantile of LAG_QUANTILES) {
      const intervalMs = loopLag.percentile(quantile * 100) / 1e6;
      g.set({ quantile }, Math.max(0, intervalMs - LAG_RESOLUTION_MS) / 1000);
    }
    loopLag.reset();
  });
  gauge(
    'store_loss_window_seconds',
    'Age of the oldest record that is acknowledged and not on the disk.',
    ['stream'],
    (g) => {
      for (const { stream, ageMs } of lossWindows(parts)) g.set({ stream }, ageMs / 1000);
    },
  );
  const counter = (
    name: string,
    help: string,
    labelNames: string[],
    read: () => Array<readonly [labels: Record<string, string>, value: number]>,
  ): void => {
    new Counter({
      name: PREFIX + name,
      help,
      labelNames,
      registers,
      collect() {
        this.reset();
        for (const [labels, value] of read()) this.inc(labels, value);
      },
    });
  };
  counter('broker_published_total', 'Publishes taken from devices.', [], () => [
    [{}, parts.broker.stats().published],
  ]);
  counter('broker_refusals_total', 'Connections and publishes refused, by reason.', ['reason'], () =>
    Object.entries(parts.broker.stats().refusals).map(([reason, count]) => [{ reason }, count]),
  );
  counter('broker_session_dropped_total', 'What sessions did not keep, by reason.', ['reason'], () =>
    [...parts.sessions.dropped()].map(([reason, count]) => [{ reason }, count]),
  );
  counter('stream_delivered_records_total', 'Records delivered with all their copies.', ['stream'], () =>
    parts.forwarder.streams().map(({ name, accepted }) => [{ stream: name }, accepted]),
  );
  counter('store_payload_bytes_total', 'Record bytes made durable.', [], () => [
    [{}, parts.store.written.payloadBytes],
  ]);
  counter('store_written_bytes_total', 'Bytes that this took on the disk, by the kernel’s count.', [], () => {
    const { writtenBytes } = parts.store.written;
    return writtenBytes === null ? [] : [[{}, writtenBytes]];
  });
  counter('store_given_up_records_total', 'Records given up, by reason.', ['stream', 'reason'], () =>
    parts.store.evicted.map(({ stream, reason, records }) => [{ stream, reason }, records]),
  );
  counter('store_damaged_files_total', 'Damaged buffers that were set aside.', [], () => [
    [{}, parts.store.damage.files],
  ]);
  counter(
    'store_damaged_records_total',
    'Records that could not be read of them: each is in a gap.',
    [],
    () => [[{}, parts.store.damage.lostRecords]],
  );
  counter(
    'hedges_sent_total',
    'Envelopes that went to a second provider, by the one that was too slow.',
    ['provider'],
    () => [...parts.forwarder.hedging.counters].map(([provider, { sent }]) => [{ provider }, sent]),
  );
  counter(
    'hedges_ended_total',
    'How hedges ended: won, lost (both delivered), cancelled or failed.',
    ['provider', 'end'],
    () =>
      [...parts.forwarder.hedging.counters].flatMap(([provider, { sent: _, ...ends }]) =>
        Object.entries(ends).map(([end, count]) => [{ provider, end }, count] as const),
      ),
  );
  counter(
    'publishes_abandoned_total',
    'Tries that an SDK had not answered well after their deadline.',
    ['provider'],
    () => [...parts.senders].map(([provider, { counters }]) => [{ provider }, counters.abandoned]),
  );
  counter('provider_units_total', 'Units the provider will bill, as predicted.', ['provider'], () =>
    [...parts.senders].map(([provider, sender]) => [{ provider }, sender.counters.units]),
  );
}

/**
 * Of every stream: 0 where all that is acknowledged is on the disk; what is never written counts as long as
 * it waits.
 */
function lossWindows({
  store,
  forwarder,
  memoryStreams,
}: Measured): Array<{ stream: string; ageMs: number }> {
  const held = new Map(store.lossWindows().map(({ stream, ageMs }) => [stream, ageMs]));
  return forwarder.streams().map(({ name, oldestAgeMs }) => ({
    stream: name,
    ageMs: memoryStreams.has(name) ? (oldestAgeMs ?? 0) : (held.get(name) ?? 0),
  }));
}
