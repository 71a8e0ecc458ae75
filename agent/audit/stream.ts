/**
 * The stream `_audit`: the entries of the audit log as records, for the router. It goes where the stream with
 * the filter `#` may go, one copy. A full buffer refuses its records, and they are put in later.
 */
import { AUDIT_STREAM, AUDIT_TOPIC } from '../../shared/audit/audit-log.ts';
import { type Policy, streamSchema } from '../../shared/policy/policy.ts';

/** The policy with the stream; no policy of an operator can name it. */
export function withAuditStream(policy: Policy): Policy {
  const rest = Object.values(policy.streams).find(({ topics }) => topics.includes('#'));
  const { data_residency, preferred_providers = [], until = 'cloud', seal = false } = rest ?? {};
  const stream = streamSchema.parse({
    ...{ topics: [AUDIT_TOPIC], preferred_providers, until, seal, priority: 9, when_full: 'reject' },
    ...(data_residency === undefined ? {} : { data_residency }),
  });
  return { ...policy, streams: { ...policy.streams, [AUDIT_STREAM]: stream } };
}
