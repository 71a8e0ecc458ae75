/** What the agent measures, by Prometheus' naming conventions (base units, `_total` on counters). */
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { Broker } from './broker/broker.ts';
import type { Sessions } from './broker/persistence/sessions.ts';
import type { Outcome } from './cloud/publisher.ts';
import type { Forwarder } from './forward/forwarder.ts';
import type { LiveRouting } from './forward/live-routing.ts';
import type { Sender } from './forward/sender.ts';
import type { Store } from './store/store.ts';

const PREFIX = 'headgate_agent_';
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
  gauge('broker_refusals', 'Connections and publishes refused, by reason.', ['reason'], (g) => {
    for (const [reason, count] of Object.entries(parts.broker.stats().refusals)) g.set({ reason }, count);
  });
  gauge('broker_session_dropped', 'What sessions did not keep, by reason.', ['reason'], (g) => {
    for (const [reason, count] of parts.sessions.dropped()) g.set({ reason }, count);
  });
  gauge('stream_pending_records', 'Records that wait for a provider.', ['stream'], (g) => {
    for (const { name, pending } of parts.forwarder.streams()) g.set({ stream: name }, pending);
  });
  gauge('stream_oldest_seconds', 'Age of the oldest record not yet sent.', ['stream'], (g) => {
    for (const { name, oldestAgeMs } of parts.forwarder.streams())
      g.set({ stream: name }, (oldestAgeMs ?? 0) / 1000);
  });
  gauge('provider_health', 'One for the state that the provider is in.', ['provider', 'state'], (g) => {
    for (const { provider, health } of parts.routing.providers()) {
      for (const state of HEALTH_VALUES) g.set({ provider, state }, state === health ? 1 : 0);
    }
  });
  gauge('provider_in_flight', 'Envelopes under way.', ['provider'], (g) => {
    for (const [provider, sender] of parts.senders) g.set({ provider }, sender.inFlight);
  });
  gauge('store_up', 'One when the buffer takes records.', [], (g) =>
    g.set(parts.store.state() === 'ok' ? 1 : 0),
  );
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
    read: () => Array<[string, number]>,
  ): void => {
    new Counter({
      name: PREFIX + name,
      help,
      labelNames,
      registers,
      collect() {
        this.reset();
        for (const [label, value] of read()) {
          const [labelName] = labelNames;
          if (labelName === undefined) this.inc(value);
          else this.inc({ [labelName]: label }, value);
        }
      },
    });
  };
  counter('broker_published_total', 'Publishes taken from devices.', [], () => [
    ['', parts.broker.stats().published],
  ]);
  counter('broker_refused_total', 'Publishes refused.', [], () => [['', parts.broker.stats().refused]]);
  counter('stream_delivered_records_total', 'Records delivered with all their copies.', ['stream'], () =>
    parts.forwarder.streams().map(({ name, accepted }) => [name, accepted]),
  );
  counter('store_payload_bytes_total', 'Record bytes made durable.', [], () => [
    ['', parts.store.written.payloadBytes],
  ]);
  counter('store_written_bytes_total', 'Bytes that this took on the disk, by the kernel’s count.', [], () => {
    const { writtenBytes } = parts.store.written;
    return writtenBytes === null ? [] : [['', writtenBytes]];
  });
  gauge('store_given_up_records', 'Records given up since start, by reason.', ['stream', 'reason'], (g) => {
    for (const { stream, reason, records } of parts.store.evicted) g.set({ stream, reason }, records);
  });
  counter('provider_units_total', 'Units the provider will bill, as predicted.', ['provider'], () =>
    [...parts.senders].map(([provider, sender]) => [provider, sender.counters.units]),
  );
}

/** Of every stream: 0 where all that is acknowledged is on the disk; what is never written counts as long as it waits. */
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
