/** The keys of an agent: its own, which signs envelopes, and the routers', which envelopes are sealed to. */
import type { Clock } from '../../shared/clock.ts';
import type { Entropy } from '../../shared/entropy.ts';
import type { Logger } from '../../shared/log.ts';
import type { ObservedMetrics } from '../../shared/observed-metrics.ts';
import type { Policy } from '../../shared/policy/policy.ts';
import { type Protect, protectWith } from './protection.ts';
import { registerSealing, Sealing } from './sealing.ts';
import { openSigning, registerSigning, type Signing, type SigningOptions } from './signing.ts';

export interface Keys {
  signing: Signing;
  sealing: Sealing;
  protect: Protect;
}

interface KeyOptions {
  config: SigningOptions['config'] & { gateway: string; router_seal_keys: readonly string[] };
  clock: Clock;
  entropy: Entropy;
  log: Logger;
}

/** Throws StartRefused where `signing.key_file` holds no usable key. */
export async function openKeys({ config, clock, entropy, log }: KeyOptions): Promise<Keys> {
  const signing = await openSigning({ config, entropy, log });
  const { gateway, router_seal_keys: keys } = config;
  const sealing = new Sealing({ gateway, keys, clock, entropy, log });
  return { signing, sealing, protect: protectWith(signing.signer, sealing) };
}

export function registerKeys(
  metrics: ObservedMetrics,
  { signing, sealing }: Keys,
  policy: () => Policy,
): void {
  registerSigning(metrics, signing);
  registerSealing(metrics, sealing, policy);
}
