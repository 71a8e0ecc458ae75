/** Metrics of the receipts: those that gateways poll for, and those that clouds carry. */
import { Counter, Gauge, type Registry } from 'prom-client';
import type { ReceiptPusher } from './pusher.ts';
import type { Receipts } from './receipts.ts';

export function registerReceipts(registry: Registry, receipts: Receipts): void {
  const registers = [registry];
  new Counter({
    name: 'headgate_router_receipts_total',
    help: 'Receipts handed out to gateways.',
    registers,
    collect() {
      this.reset();
      this.inc(receipts.answered);
    },
  });
  new Gauge({
    name: 'headgate_router_receipts_waiting',
    help: 'Gateways that wait for a receipt now.',
    registers,
    collect() {
      this.set(receipts.waiting);
    },
  });
}

export function registerPushers(registry: Registry, pushers: readonly ReceiptPusher[]): void {
  const registers = [registry];
  new Counter({
    name: 'headgate_router_receipt_pushes_total',
    help: 'Receipts that were due through a cloud, by outcome.',
    labelNames: ['downlink', 'result'],
    registers,
    collect() {
      this.reset();
      for (const { name, counts } of pushers) {
        for (const [result, count] of Object.entries(counts)) this.inc({ downlink: name, result }, count);
      }
    },
  });
  new Gauge({
    name: 'headgate_router_receipt_pushes_waiting',
    help: 'Gateways with commits since their last receipt through this cloud.',
    labelNames: ['downlink'],
    registers,
    collect() {
      for (const { name, waiting } of pushers) this.set({ downlink: name }, waiting);
    },
  });
}
