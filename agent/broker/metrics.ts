/** Metrics of the broker. */
import type { ObservedMetrics } from '../../shared/observed-metrics.ts';
import type { Broker } from './broker.ts';
import type { Intake } from './intake.ts';
import type { Sessions } from './persistence/sessions.ts';

/** Registers metrics that are read at each scrape. */
export function registerBroker(
  metrics: ObservedMetrics,
  { broker, sessions, intake }: { broker: Broker; sessions: Sessions; intake: Intake },
): void {
  metrics.counter('intake_failed_total', 'Publishes that the buffer did not take.', ['stream'], () =>
    [...intake.counters()].map(([stream, { failed }]) => [{ stream }, failed]),
  );
  metrics.gauge('broker_connections', 'MQTT connections now.', [], () => [[{}, broker.stats().connections]]);
  metrics.gauge(
    'broker_listener_up',
    'Whether a listener of the configuration takes connections.',
    ['type', 'host', 'port'],
    () =>
      broker
        .listeners()
        .map(({ type, host, port, error }) => [{ type, host, port: `${port}` }, error === null ? 1 : 0]),
  );
  metrics.gauge('broker_sessions', 'Clients with a session that outlives their connection.', [], () => [
    [{}, sessions.counts().sessions],
  ]);
  metrics.gauge('broker_retained_messages', 'Retained messages.', [], () => [
    [{}, sessions.counts().retained],
  ]);
  metrics.gauge('broker_queued_messages', 'Messages queued for offline clients.', [], () => [
    [{}, sessions.counts().queuedMessages],
  ]);
  metrics.gauge('broker_queued_bytes', 'Bytes of the messages queued for offline clients.', [], () => [
    [{}, sessions.counts().queuedBytes],
  ]);
  metrics.counter('broker_published_total', 'Publishes accepted from devices.', [], () => [
    [{}, broker.stats().published],
  ]);
  metrics.counter('broker_refusals_total', 'Connections and publishes refused, by reason.', ['reason'], () =>
    Object.entries(broker.stats().refusals).map(([reason, count]) => [{ reason }, count]),
  );
  metrics.counter(
    'broker_session_dropped_total',
    'Session items that were dropped, by reason.',
    ['reason'],
    () => [...sessions.dropped()].map(([reason, count]) => [{ reason }, count]),
  );
  metrics.counter(
    'broker_taken_over_total',
    'Connections that another one with the same client id ended.',
    [],
    () => [[{}, broker.stats().takenOver]],
  );
}
