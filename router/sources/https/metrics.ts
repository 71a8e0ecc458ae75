/** Metrics of the router's HTTPS endpoints. */
import { Counter, type Registry } from 'prom-client';
import type { Source } from '../source.ts';
import { HttpsSource } from './source.ts';

export function registerHttpsSources(registry: Registry, sources: readonly Source[]): void {
  const endpoints = sources.filter((source) => source instanceof HttpsSource);
  new Counter({
    name: 'headgate_router_api_refused_total',
    help: 'Requests of gateways that were refused, by reason.',
    labelNames: ['source', 'reason'],
    registers: [registry],
    collect() {
      this.reset();
      for (const source of endpoints) {
        for (const [reason, count] of source.refusals()) this.inc({ source: source.name, reason }, count);
      }
    },
  });
}
