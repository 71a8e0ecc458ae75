/**
 * Metrics that are read from the parts of a program when Prometheus asks, by Prometheus' naming conventions:
 * base units, `_total` on counters.
 */
import { Counter, Gauge, type Registry } from 'prom-client';

/** One value with its labels; no labels for a metric that has one value. */
export type Reading = readonly [labels: Readonly<Record<string, string | number>>, value: number];

export class ObservedMetrics {
  readonly #registry: Registry;
  readonly #prefix: string;

  /** `prefix` goes before each name: `headgate_agent_`. */
  constructor(registry: Registry, prefix: string) {
    this.#registry = registry;
    this.#prefix = prefix;
  }

  /** Absent for the labels that `read` leaves out. */
  gauge(name: string, help: string, labelNames: readonly string[], read: () => Iterable<Reading>): void {
    new Gauge({
      ...this.#named(name, help, labelNames),
      collect() {
        this.reset();
        for (const [labels, value] of read()) this.set({ ...labels }, value);
      },
    });
  }

  /** `read` gives totals since the start; they never fall. Readings with the same labels are added up. */
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
