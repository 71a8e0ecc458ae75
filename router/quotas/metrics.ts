/** Metrics of the quotas: labels are sources, quotas and outcomes, and the names of few gateways (I10). */
import type { Registry } from 'prom-client';
import { ObservedMetrics, type Reading } from '../../shared/observed-metrics.ts';
import { type Quotas, totalOf } from './quotas.ts';

/** Gateways with a value of their own. */
const GATEWAYS_SHOWN = 20;

export function registerQuotas(registry: Registry, quotas: Pick<Quotas, 'counts' | 'over'>): void {
  const metrics = new ObservedMetrics(registry, 'headgate_router_');
  metrics.counter(
    'over_quota_total',
    'Messages of gateways over a quota, by quota and outcome: waits, dead-letter, or dropped (rows of the ledger).',
    ['source', 'quota', 'outcome'],
    () => quotas.counts().map(({ count, ...labels }): Reading => [labels, count]),
  );
  metrics.gauge(
    'gateway_over_quota',
    `Messages over a quota of the ${GATEWAYS_SHOWN} gateways with most that were over one in the last hour.`,
    ['source', 'gateway', 'proven'],
    () =>
      quotas.over(GATEWAYS_SHOWN).map((state): Reading => {
        const { source, gateway, isProven } = state;
        return [{ source, gateway, proven: String(isProven) }, totalOf(state)];
      }),
  );
}
