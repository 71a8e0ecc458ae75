/** The agent's JSON route `/v1/costs`. Types in shared/admin-api/status.ts. */
import type { AdminRoute } from '../../shared/admin-server.ts';
import type { Policy } from '../../shared/policy/policy.ts';
import type { Meter } from './meter.ts';
import { costReport } from './report.ts';

export function costRoutes({
  meter,
  cost,
}: {
  meter: Meter;
  cost: () => Policy['cost'];
}): Record<string, AdminRoute> {
  return { '/v1/costs': () => ({ status: 200, body: costReport(meter.reading(), cost()) }) };
}
