/**
 * Contents of fleet documents. docs/reference/documents.md specifies the bytes. Times are milliseconds since
 * the Unix epoch. An unknown member is a mistake: a gateway must not pass over what it does not understand.
 */
import { z } from 'zod';
import { identifier } from '../../config/kinds.ts';
import { policySchema } from '../../policy/policy.ts';
import { KEYS_MAX } from './limits.ts';

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;
/** Longest time in which a document may be accepted, and longest hold. */
const YEAR_MS = 366 * DAY_MS;
const TEXT_CHARS_MAX = 500;
const PROVIDERS_MAX = 32;

const text = () => z.string().max(TEXT_CHARS_MAX);
const instant = () => z.int().min(1);
const digest = () => z.string().regex(/^[0-9a-f]{64}$/, 'expected a SHA-256 in hex');
const keyId = () => z.string().regex(/^[0-9a-f]{16}$/, 'expected a key id: 16 hex digits');

/** Name and random part of a fleet: which authority signs. */
const authority = () =>
  z.string().regex(/^[a-z0-9][a-z0-9_-]{0,63}$/, 'expected a name of a–z, 0–9, "_" or "-"');

const roleSchema = z
  .strictObject({
    keys: z.array(keyId()).min(1).max(KEYS_MAX),
    threshold: z.int().min(1).max(KEYS_MAX),
  })
  .superRefine(({ keys, threshold }, context) => {
    if (new Set(keys).size < keys.length)
      context.addIssue({ code: 'custom', path: ['keys'], message: 'expected each key once' });
    if (threshold > keys.length)
      context.addIssue({ code: 'custom', path: ['threshold'], message: 'more than there are keys' });
  });

/** The keys of a fleet and their roles. Only a root changes them. */
export const rootSchema = z
  .strictObject({
    authority: authority(),
    /** Begins at 1; grows when an authority begins anew, for example after its store was lost. */
    term: z.int().min(1),
    version: z.int().min(1),
    issued_ms: instant(),
    /** Ed25519 public keys by id: 32 bytes in base64. */
    keys: z.record(keyId(), z.string().length(44)),
    roles: z.strictObject({ root: roleSchema, policy: roleSchema, assign: roleSchema, ops: roleSchema }),
  })
  .superRefine(({ keys, roles }, context) => {
    const ids = Object.keys(keys);
    if (ids.length > KEYS_MAX)
      context.addIssue({ code: 'custom', path: ['keys'], message: `more than ${KEYS_MAX} keys` });
    for (const [role, { keys: named }] of Object.entries(roles)) {
      if (named.some((id) => !ids.includes(id)))
        context.addIssue({ code: 'custom', path: ['roles', role, 'keys'], message: 'not one of keys' });
    }
  });

/**
 * A policy with its streams. The schema of agent.yaml has a default for them, and an empty text would so give
 * each gateway that default in place of its streams.
 */
const wholePolicy = z
  .custom<z.input<typeof policySchema>>(
    (value) => typeof value === 'object' && value !== null && 'streams' in value,
    'expected a policy with its streams',
  )
  .pipe(policySchema);

/** A whole policy, named by the SHA-256 of this document's bytes. */
export const policyBodySchema = z.strictObject({
  authority: authority(),
  policy: wholePolicy,
  /** Requirements of a gateway that runs it. */
  requires: z.strictObject({
    /** The oldest version of the agent. */
    agent: z.string().regex(/^\d{1,5}\.\d{1,5}\.\d{1,5}$/, 'expected a version such as 0.2.0'),
    providers: z.array(identifier()).max(PROVIDERS_MAX),
  }),
  note: text(),
});

/** One scope. A gateway is a member of the group `all` and of those that its operator gave it. */
const scopeSchema = z.union([
  z.strictObject({ gateway: identifier() }),
  z.strictObject({ group: identifier() }),
]);

/** Common fields of assignments and orders: whose, where in the order, for which gateways, until when. */
const issuedFields = {
  authority: authority(),
  term: z.int().min(1),
  root: z.int().min(1),
  /** Counts the changes of a fleet, not its documents: no gateway gets two documents with one number. */
  sequence: z.int().min(1),
  scope: scopeSchema,
  issued_ms: instant(),
  /** Bounds accepting, never running (I7, I9). */
  accept_until_ms: instant(),
};

function hasTime(
  { issued_ms, accept_until_ms }: { issued_ms: number; accept_until_ms: number },
  context: z.RefinementCtx,
): void {
  const lasts = accept_until_ms - issued_ms;
  if (lasts > 0 && lasts <= YEAR_MS) return;
  const message = 'expected after issued_ms, by at most 366 days';
  context.addIssue({ code: 'custom', path: ['accept_until_ms'], message });
}

const holdFields = {
  provider: identifier(),
  /** On the gateway's monotonic time, from when it accepts. */
  for_ms: z.int().min(1000).max(YEAR_MS),
  reason: text().min(1),
};

export const assignmentSchema = z
  .strictObject({
    ...issuedFields,
    /** SHA-256 of the policy body to run. */
    digest: digest(),
    /** The body to which `revert` returns; null before there is any. */
    baseline: digest().nullable(),
    rollout: identifier(),
    trial: z.strictObject({
      /** Without a receipt over the trial's report by then, the gateway rolls back. */
      confirm_within_ms: z
        .int()
        .min(MINUTE_MS)
        .max(60 * MINUTE_MS),
    }),
    holds: z.array(z.strictObject(holdFields)).max(PROVIDERS_MAX),
    /** After this assignment nothing new but roots and orders. */
    freeze: z.boolean(),
  })
  .superRefine(hasTime);

/** No action has a policy or a digest: an `ops` key never brings a body. */
const actionSchema = z.discriminatedUnion('do', [
  z.strictObject({ do: z.literal('freeze') }),
  z.strictObject({ do: z.literal('unfreeze') }),
  /** To the baseline of the assignment in force. */
  z.strictObject({ do: z.literal('revert') }),
  z.strictObject({
    do: z.literal('hold'),
    ...holdFields,
    /** Also where a residency then has no provider left. */
    force: z.boolean(),
  }),
  z.strictObject({ do: z.literal('release'), provider: identifier(), reason: text().min(1) }),
]);

export const orderSchema = z.strictObject({ ...issuedFields, action: actionSchema }).superRefine(hasTime);

export type Root = z.output<typeof rootSchema>;
export type PolicyBody = z.output<typeof policyBodySchema>;
export type Scope = z.output<typeof scopeSchema>;
export type Assignment = z.output<typeof assignmentSchema>;
export type Order = z.output<typeof orderSchema>;

/** A document with the digest of its bytes, which is its name. */
export type FleetDocument =
  | { kind: 'root'; digest: string; root: Root }
  | { kind: 'policy'; digest: string; body: PolicyBody }
  | { kind: 'assignment'; digest: string; assignment: Assignment }
  | { kind: 'order'; digest: string; order: Order };
