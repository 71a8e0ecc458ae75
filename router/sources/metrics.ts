/** Metrics of the sources, by Prometheus' naming conventions; read when Prometheus asks. */
import { Counter, Gauge, type Registry } from 'prom-client';
import { registerHttpsSources } from './https/metrics.ts';
import type { Source } from './source.ts';

export function registerSources(registry: Registry, sources: readonly Source[]): void {
  const registers = [registry];
  new Gauge({
    name: 'headgate_router_source_connected',
    help: 'One while the source is connected.',
    labelNames: ['source'],
    registers,
    collect() {
      for (const source of sources) this.set({ source: source.name }, source.state().connected ? 1 : 0);
    },
  });
  new Gauge({
    name: 'headgate_router_source_backlog_messages',
    help: 'Messages that wait at the provider; absent where it does not tell, or not now.',
    labelNames: ['source'],
    registers,
    collect() {
      this.reset();
      for (const source of sources) {
        const { backlog } = source.state();
        if (backlog !== null) this.set({ source: source.name }, backlog);
      }
    },
  });
  const counters = [
    ['cuts', 'Connections that the router ended because nothing was answered on them.'],
    ['expired', 'Messages that the provider dropped by age before they were read, where it can be told.'],
  ] as const;
  for (const [field, help] of counters) {
    new Counter({
      name: `headgate_router_source_${field}_total`,
      help,
      labelNames: ['source'],
      registers,
      collect() {
        this.reset();
        for (const source of sources) this.inc({ source: source.name }, source.state()[field]);
      },
    });
  }
  registerHttpsSources(registry, sources);
}
