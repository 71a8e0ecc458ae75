/** Metrics of the providers' holds. */
import type { ObservedMetrics } from '../../shared/observed-metrics.ts';
import { type HoldReason, OWN_HOLDS } from '../routing/core/reasons.ts';
import type { LiveRouting } from '../routing/live-routing.ts';
import type { Holds } from './holds.ts';

const REASONS: readonly HoldReason[] = ['manual', 'quota', 'budget', ...OWN_HOLDS];

/** Registers metrics that are read at each scrape. */
export function registerHolds(
  metrics: ObservedMetrics,
  { routing, holds }: { routing: LiveRouting; holds: Holds },
): void {
  metrics.gauge(
    'provider_hold',
    'One for each reason of a hold on the provider.',
    ['provider', 'reason'],
    () =>
      routing
        .providers()
        .flatMap(({ provider, holds: inForce }) =>
          REASONS.map((reason) => [{ provider, reason }, inForce.includes(reason) ? 1 : 0] as const),
        ),
  );
  metrics.gauge('manual_holds', 'Holds that operators have set.', ['provider'], () => {
    const all = holds.list();
    return routing
      .providers()
      .map(
        ({ provider }) => [{ provider }, all.filter((hold) => hold.provider === provider).length] as const,
      );
  });
}
