/** Metrics of the router's receipts. */
import type { ObservedMetrics } from '../../shared/observed-metrics.ts';
import type { Forwarder } from '../forward/forwarder.ts';
import type { Downlink } from './downlink.ts';
import type { ReceiptTracker } from './receipt-tracker.ts';
import type { ReceiptReceiver } from './receiver.ts';

export interface ReceiptParts {
  forwarder: Forwarder;
  tracker: ReceiptTracker;
  receiver: ReceiptReceiver;
  downlinks: readonly Downlink[];
}

/** Registers metrics that are read at each scrape. */
export function registerReceipts(metrics: ObservedMetrics, parts: ReceiptParts): void {
  const { forwarder, tracker, receiver, downlinks } = parts;
  metrics.gauge(
    'receipt_lag_seconds',
    'Age of the oldest record that the provider acknowledged and no receipt covers, as of the router’s last answer.',
    ['provider'],
    () => [...tracker.lags].map(([provider, lagMs]) => [{ provider }, lagMs / 1000]),
  );
  metrics.counter(
    'undelivered_records_total',
    'Records that the provider acknowledged and that did not reach the ledger in time.',
    ['provider'],
    () => [...tracker.undelivered].map(([provider, records]) => [{ provider }, records]),
  );
  metrics.counter('receipts_total', 'Received receipts, by result.', ['result'], () =>
    Object.entries(receiver.counts).map(([result, count]) => [{ result }, count]),
  );
  metrics.counter(
    'receipts_unverified_total',
    'Applied receipts that no known key of a router has signed, by cause.',
    ['cause'],
    () => Object.entries(receiver.unverified).map(([cause, count]) => [{ cause }, count]),
  );
  metrics.gauge('receipts_accept_unsigned', '1 when unsigned receipts are taken, else 0.', [], () => [
    [{}, downlinks.length > 0 && receiver.accept === 'any' ? 1 : 0],
  ]);
  metrics.gauge(
    'stream_awaiting_receipt_records',
    'Records with all their copies that wait in the buffer for a receipt.',
    ['stream'],
    () => forwarder.streams().map(({ name, awaitingReceipt }) => [{ stream: name }, awaitingReceipt]),
  );
  metrics.gauge('downlink_up', 'One while the router, or the cloud between, answers.', ['downlink'], () =>
    downlinks.map(({ name, isUp }) => [{ downlink: name }, isUp ? 1 : 0]),
  );
}
