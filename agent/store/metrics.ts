/** Metrics of the buffer. */
import type { ObservedMetrics } from '../../shared/observed-metrics.ts';
import { DISK_STATES } from './disk-state.ts';
import type { Store } from './store.ts';

/** Registers metrics that are read at each scrape. */
export function registerStore(metrics: ObservedMetrics, store: Store): void {
  metrics.gauge('store_up', 'One when the buffer takes records.', [], () => [
    [{}, store.state() === 'ok' ? 1 : 0],
  ]);
  metrics.gauge('store_state', 'One for the state of the disk under the buffer.', ['state'], () =>
    DISK_STATES.map((state) => [{ state }, state === store.state() ? 1 : 0]),
  );
  metrics.counter('store_payload_bytes_total', 'Record bytes made durable.', [], () => [
    [{}, store.written.payloadBytes],
  ]);
  metrics.counter(
    'store_written_bytes_total',
    'Bytes written to disk by the buffer’s thread, by the kernel’s count.',
    [],
    () => {
      const { writtenBytes } = store.written;
      return writtenBytes === null ? [] : [[{}, writtenBytes]];
    },
  );
  metrics.gauge('store_limit_bytes', 'The bound of the buffer.', [], () => [[{}, store.space.limitBytes]]);
  metrics.gauge('store_used_bytes', 'What of it is taken, the log’s share included.', [], () => [
    [{}, store.space.usedBytes],
  ]);
  metrics.counter('store_given_up_records_total', 'Records given up, by reason.', ['stream', 'reason'], () =>
    store.evicted.map(({ stream, reason, records }) => [{ stream, reason }, records]),
  );
  metrics.counter('store_damaged_files_total', 'Damaged buffers that were set aside.', [], () => [
    [{}, store.damage.files],
  ]);
  metrics.counter(
    'store_damaged_records_total',
    'Unreadable records of damaged buffers: each is in a gap.',
    [],
    () => [[{}, store.damage.lostRecords]],
  );
}
