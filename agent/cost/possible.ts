/** Tries that were not accepted and may be billed. */
import { metersErrors } from '../../shared/pricing/metering.ts';
import type { Tariff } from '../../shared/pricing/tariff.ts';
import type { Outcome } from '../providers/publisher.ts';

/**
 * A try that ended unknown may have arrived. AWS also meters its 4xx and 5xx responses ("AWS IoT Core
 * pricing, additional details"): throttles, refusals and server errors.
 */
export function mayBeBilled(tariff: Tariff, outcome: Exclude<Outcome, { kind: 'accepted' }>): boolean {
  switch (outcome.kind) {
    case 'unknown':
      return true;
    case 'cancelled':
      return outcome.sent;
    case 'throttled':
    case 'rejected':
      return metersErrors(tariff);
    case 'retryable':
      return outcome.cause === 'server-error' && metersErrors(tariff);
  }
}
