/**
 * Metrics that are read from the program's parts at each scrape, named by Prometheus' conventions: base
 * units, `_total` on counters.
 */
import { Counter, Gauge, type Registry } from 'prom-client';

/** One value with its labels; no labels for a metric that has one value. */
export type Reading = readonly [labels: Readonly<Record<string, string | number>>, value: number];

export class ObservedMetrics {
  readonly #registry: Registry;
  readonly #prefix: string;

  /** `prefix` precedes each name: `headgate_agent_`. */
  constructor(registry: Registry, prefix: string) {
    this.#registry = registry;
    this.#prefix = prefix;
  }

  /** A label set that `read` omits is absent from the scrape. */
  gauge(name: string, help: string, labelNames: readonly string[], read: () => Iterable<Reading>): void {
    new Gauge({
      ...this.#named(name, help, labelNames),
      collect() {
        this.reset();
        for (const [labels, value] of read()) this.set({ ...labels }, value);
      },
    });
  }

  /** `read` returns totals since the start, which never decrease. Readings with the same labels are added. */
  counter(name: string, help: string, labelNames: readonly string[], read: () => Iterable<Reading>): void {
    new Counter({
      ...this.#named(name, help, labelNames),
      collect() {
        this.reset();
        for (const [labels, value] of read()) this.inc({ ...labels }, value);
      },
    });
  }

  #named(name: string, help: string, labelNames: readonly string[]) {
    return { name: this.#prefix + name, help, labelNames: [...labelNames], registers: [this.#registry] };
  }
}
