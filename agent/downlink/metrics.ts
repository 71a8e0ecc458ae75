/** What the agent measures of the router's receipts. */
import { Counter, Gauge, type Registry } from 'prom-client';
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

export function registerReceipts(registry: Registry, parts: ReceiptParts): void {
  const registers = [registry];
  new Gauge({
    name: 'headgate_agent_receipt_lag_seconds',
    help: 'Age of the oldest that the provider acknowledged and no receipt covers, as of the router’s last answer.',
    labelNames: ['provider'],
    registers,
    collect() {
      this.reset();
      for (const [provider, lagMs] of parts.tracker.lags) this.set({ provider }, lagMs / 1000);
    },
  });
  new Counter({
    name: 'headgate_agent_undelivered_records_total',
    help: 'Records that the provider acknowledged and that did not reach the ledger in time.',
    labelNames: ['provider'],
    registers,
    collect() {
      this.reset();
      for (const [provider, records] of parts.tracker.undelivered) this.inc({ provider }, records);
    },
  });
  new Counter({
    name: 'headgate_agent_receipts_total',
    help: 'Receipts that came, by what became of them.',
    labelNames: ['result'],
    registers,
    collect() {
      this.reset();
      for (const [result, count] of Object.entries(parts.receiver.counts)) this.inc({ result }, count);
    },
  });
  new Gauge({
    name: 'headgate_agent_stream_awaiting_receipt_records',
    help: 'Records with their copies, in the buffer until a receipt covers them.',
    labelNames: ['stream'],
    registers,
    collect() {
      this.reset();
      for (const { name, awaitingReceipt } of parts.forwarder.streams())
        this.set({ stream: name }, awaitingReceipt);
    },
  });
  new Gauge({
    name: 'headgate_agent_downlink_up',
    help: 'One while the router, or the cloud in between, answers.',
    labelNames: ['downlink'],
    registers,
    collect() {
      for (const downlink of parts.downlinks) this.set({ downlink: downlink.name }, downlink.isUp ? 1 : 0);
    },
  });
}
