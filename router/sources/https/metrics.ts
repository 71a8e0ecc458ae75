/** What the router's HTTPS endpoints measure. */
import { Counter, Gauge, type Registry } from 'prom-client';
import type { Receipts } from '../../receipts/receipts.ts';
import type { Source } from '../source.ts';
import type { HttpsSource } from './source.ts';

export function registerApi(registry: Registry, sources: readonly Source[], receipts: Receipts): void {
  const endpoints = sources.filter((source): source is HttpsSource => source.type === 'https');
  const registers = [registry];
  new Counter({
    name: 'headgate_router_api_refused_total',
    help: 'Requests of gateways that were refused, by reason.',
    labelNames: ['source', 'reason'],
    registers,
    collect() {
      this.reset();
      for (const source of endpoints) {
        for (const [reason, count] of source.refusals()) this.inc({ source: source.name, reason }, count);
      }
    },
  });
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
