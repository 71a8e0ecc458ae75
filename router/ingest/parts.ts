/** The parts of the ingest. */
import type { Clock } from '../../shared/clock.ts';
import type { Logger } from '../../shared/log.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { LedgerEntry } from '../ledger/types.ts';
import type { Quotas } from '../quotas/quotas.ts';
import type { SourceAges } from '../sources/age.ts';
import type { Identities } from '../sources/identities.ts';
import type { Decoder } from './decoder.ts';
import type { LedgerGate } from './gate.ts';
import type { IngestLimits } from './group.ts';
import type { Seals } from './seals.ts';
import type { Signatures } from './signatures.ts';

/** The part of the ledger that the ingest needs; in simulation, a model of it. */
export type Committing = Pick<Ledger, 'commit' | 'deadLetter' | 'ping'>;

export interface IngestOptions {
  ledger: Committing;
  clock: Clock;
  log: Logger;
  limits?: Partial<IngestLimits>;
  /** Absent: each message is decoded at once. */
  decoder?: Decoder;
  /** Called after every commit: feeds and receipts have new content. */
  onCommit?: (committed: readonly LedgerEntry[]) => void;
  /** The gate that closes when the engine commits nothing. */
  gate?: Pick<LedgerGate, 'committed' | 'close'>;
  /** Identities by source. */
  identities?: ReadonlyMap<string, Identities>;
  /** Absent: no signature is checked. */
  signatures?: Pick<Signatures, 'check' | 'refusalOf'>;
  /** Absent: a gateway may send as much as it likes. */
  quotas?: Pick<Quotas, 'message' | 'stream' | 'stored' | 'rangesMax' | 'exceeded'>;
  /** See LedgerEntry.jumpMax. */
  jumpMax?: number;
  /** Absent: no sealed envelope is opened. */
  seals?: Pick<Seals, 'open' | 'unsealed'>;
  /** Records the age of every committed envelope, which shows how far its source is behind. */
  ages?: Pick<SourceAges, 'committed'>;
}
