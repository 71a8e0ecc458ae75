/**
 * Sends dead letters through the same intake again: after an upgrade that reads a newer format, or that
 * accepts more. A committed letter leaves the dead letters; a letter that is refused again, for the same
 * identity too, stays unchanged.
 */
import type { Clock } from '../../shared/clock.ts';
import { ENVELOPE_LIMITS, type EnvelopeLimits } from '../../shared/envelope/limits.ts';
import type { Logger } from '../../shared/log.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { DeadLetterFilter, LedgerMaintenance } from '../ledger/maintenance.ts';
import { UNVERIFIED_JUMP_MAX } from '../ledger/rules/proof.ts';
import type { DeadLetter } from '../ledger/types.ts';
import type { Identities } from '../sources/identities.ts';
import type { Delivery } from '../sources/source.ts';
import { bytesOfSpoiled } from '../sources/sqs/delivery.ts';
import { InlineDecoder } from './decoder.ts';
import { Ingest } from './ingest.ts';
import type { IngestOptions } from './parts.ts';
import type { Seals } from './seals.ts';
import type { Signatures } from './signatures.ts';

export interface RetryOutcome {
  id: number;
  outcome: 'committed' | 'refused' | 'failed';
  /** Why the letter was refused again; null when it was committed. */
  reason: string | null;
  /** The gateway whose records were committed; null when none were. */
  gateway: string | null;
}

/** Stands for a sender's name that the rule lost; no gateway can have it. */
const UNKNOWN_SENDER = '(unknown)';

export interface RetryDeps {
  clock: Clock;
  log: Logger;
  /** Identities by source, as configured now. */
  identities?: ReadonlyMap<string, Identities>;
  /** Absent: no signature is checked. */
  signatures?: Pick<Signatures, 'check' | 'refusalOf'>;
  /** Absent: no sealed envelope is opened. */
  seals?: Pick<Seals, 'open' | 'unsealed'>;
  /**
   * The operator's decision: the letters count as sent by this gateway, whichever sender the provider named,
   * and no bound holds for a jump or a gap without a signature.
   */
  as?: string | undefined;
  /** The limits of an envelope, as configured now. */
  limits?: EnvelopeLimits;
  /** See LedgerEntry.jumpMax. */
  jumpMax?: number;
}

/** Every dead letter that matches `filter`, the oldest first. Rejects when the ledger cannot be read. */
export async function* retryDeadLetters(
  ledger: Ledger,
  maintenance: LedgerMaintenance,
  filter: DeadLetterFilter,
  deps: RetryDeps,
): AsyncGenerator<RetryOutcome> {
  const heads = await maintenance.deadLetterHeads(filter, Number.MAX_SAFE_INTEGER);
  let refused: string | null = null;
  let gateway: string | null = null;
  const onCommit: IngestOptions['onCommit'] = (entries) => {
    gateway = entries[0]?.envelope.gateway ?? null;
  };
  const committing = {
    commit: ledger.commit.bind(ledger),
    ping: () => ledger.ping(),
    deadLetter: async ({ reason }: DeadLetter): Promise<void> => {
      refused = reason;
    },
  };
  const { as, limits = ENVELOPE_LIMITS, jumpMax: bound = UNVERIFIED_JUMP_MAX, ...rest } = deps;
  const jumpMax = as === undefined ? bound : Number.POSITIVE_INFINITY;
  const decoder = new InlineDecoder({ clock: deps.clock, limits });
  const { signatures: checks, ...others } = rest;
  const vouched = checks && { check: checks.check.bind(checks), refusalOf: () => null };
  const signatures = as === undefined ? checks : vouched;
  const parts = { ...others, ...(signatures && { signatures }) };
  const ingest = new Ingest({ ledger: committing, decoder, onCommit, jumpMax, ...parts });
  for (const { id } of heads.toReversed()) {
    const letter = await maintenance.loadDeadLetter(id);
    if (!letter) continue;
    [refused, gateway] = [null, null];
    const settlement = await ingest.handler(deliveryOf(letter, as));
    const outcome = settlement !== 'settle' ? 'failed' : refused === null ? 'committed' : 'refused';
    if (outcome === 'committed') await maintenance.removeDeadLetters({ ids: [id] });
    yield { id, outcome, reason: refused, gateway };
  }
}

/**
 * A letter that a wrong IoT rule caused has lost its sender: it is refused again as a foreign gateway's,
 * unless the operator names the gateway.
 */
function deliveryOf(
  { source, reason, bytes, authenticatedGateway = null }: DeadLetter,
  as?: string,
): Delivery {
  const given = { source, bytes, authenticatedGateway: as ?? authenticatedGateway, deliveryCount: null };
  if (reason !== 'rule') return given;
  const recovered = bytesOfSpoiled(bytes);
  const problem = { reason: 'rule', detail: 'the rule left no envelope' } as const;
  if (recovered === null) return { ...given, problem };
  return { ...given, bytes: recovered, authenticatedGateway: as ?? UNKNOWN_SENDER };
}
