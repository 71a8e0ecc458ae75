/** Which tries that were not accepted may be on the bill. */
import { metersErrors } from '../../shared/pricing/metering.ts';
import type { Tariff } from '../../shared/pricing/tariff.ts';
import type { Outcome } from '../providers/publisher.ts';

/**
 * One that ended unknown may have arrived. AWS also meters its own answers of 4xx and 5xx ("AWS IoT Core
 * pricing, additional details"): what a throttle, a refusal or a server's error come from.
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
