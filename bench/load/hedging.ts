/** The one place where the benches know of hedging: what a policy says to have it, and to do without. */
import { policySchema } from '../../shared/policy.ts';

/** What a policy may say to have none, whatever the option's exact form. */
const OFF = [{ enabled: false }, { share: 0 }, { budget: 0 }, 'off', false];

/** Additions to a policy; null while hedging is not built in. With it, `on` is the default of the product. */
export function hedgingPolicies(): { on: object; off: object } | null {
  if (!('hedge' in policySchema.shape)) return null;
  const off = OFF.map((hedge) => ({ hedge })).find((policy) => policySchema.safeParse(policy).success);
  if (!off) throw new Error('the policy has an option "hedge", and none of the known ways switches it off');
  return { on: {}, off };
}
