/** For `config check --connect`: whether the receipt that a downlink shows would count, and why. */

import type { AgentConfig } from '../../agent/config/config.ts';
import { ReceiptReceiver } from '../../agent/downlink/receiver.ts';
import { RouterKeys } from '../../agent/downlink/router-keys.ts';
import type { Clock } from '../../shared/clock.ts';
import { PhaseFailure } from '../../shared/connect-check/phases.ts';
import { createLogger } from '../../shared/log.ts';

const FIX = 'bring the output of headgate keys export --config router.yaml to receipts.router_keys_file';

/** `body`: as the downlink shows it. Throws PhaseFailure for a receipt that does not count. */
export async function receiptNote(
  { gateway, receipts }: Pick<AgentConfig, 'gateway' | 'receipts'>,
  body: Uint8Array,
  clock: Clock,
): Promise<string> {
  const log = createLogger({ level: 'silent', levels: {} });
  const trust = new RouterKeys({ receipts, downlinks: [] }, { clock, log });
  await trust.read();
  const tracker = { apply: () => undefined };
  const receiver = new ReceiptReceiver({ gateway, tracker, trust, trustedWallMs: () => null, clock, log });
  const result = receiver.receive('check', body);
  if (result !== 'applied')
    throw new PhaseFailure(`a receipt that does not count: ${result}`, { option: '', fix: FIX });
  const [cause] = Object.entries(receiver.unverified).flatMap(([name, count]) => (count > 0 ? [name] : []));
  return cause === undefined ? 'a receipt, signed by a known router' : `a receipt (${cause})`;
}
