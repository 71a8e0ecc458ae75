/** Holds as metrics, read when Prometheus asks. */
import { Gauge, type Registry } from 'prom-client';
import { type HoldReason, OWN_HOLDS } from '../routing/core/reasons.ts';
import type { LiveRouting } from '../routing/live-routing.ts';
import type { Holds } from './holds.ts';

const REASONS: readonly HoldReason[] = ['manual', 'quota', 'budget', ...OWN_HOLDS];

export function registerHolds(registry: Registry, routing: LiveRouting, holds: Holds): void {
  const registers = [registry];
  new Gauge({
    name: 'headgate_agent_provider_hold',
    help: 'One for each reason for which the provider is on hold.',
    labelNames: ['provider', 'reason'],
    registers,
    collect() {
      this.reset();
      for (const { provider, holds: inForce } of routing.providers())
        for (const reason of REASONS) this.set({ provider, reason }, inForce.includes(reason) ? 1 : 0);
    },
  });
  new Gauge({
    name: 'headgate_agent_manual_holds',
    help: 'Holds that operators have set.',
    labelNames: ['provider'],
    registers,
    collect() {
      this.reset();
      for (const { provider } of routing.providers()) this.set({ provider }, 0);
      for (const { provider } of holds.list()) this.inc({ provider });
    },
  });
}
