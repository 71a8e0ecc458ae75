/** The maintenance contract (../maintenance.ts) on the SQLite file. */

import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Clock } from '../../../shared/clock.ts';
import { deadLettersOf, erasureWindows } from '../erasure.ts';
import type {
  DeadLetterFilter,
  DeadLetterHead,
  LedgerMaintenance,
  Retained,
  StoredBytes,
  StoredDeadLetter,
} from '../maintenance.ts';
import type { RetentionRules } from '../rules/retention.ts';
import type { Erasure, ErasureTarget } from '../types.ts';
import type { RecordId, Whereabouts } from '../whereabouts.ts';
import type { ConflictTable } from './conflicts.ts';
import type { DeadLetterTable } from './dead-letters.ts';
import type { ErasureTable } from './erasure.ts';
import type { RetentionTables } from './retention.ts';
import type { ShareTables } from './shares.ts';
import type { WhereaboutsTable } from './whereabouts.ts';

export interface SqliteMaintenanceParts {
  /** Runs `work` in one transaction; its changes of streams are written at the end. */
  atomically<T>(work: () => T): T;
  deadLetters: DeadLetterTable;
  conflicts: ConflictTable;
  retention: RetentionTables;
  shares: ShareTables;
  erasures: ErasureTable;
  whereabouts: WhereaboutsTable;
  clock: Clock;
}

export class SqliteMaintenance implements LedgerMaintenance {
  readonly #parts: SqliteMaintenanceParts;

  constructor(parts: SqliteMaintenanceParts) {
    this.#parts = parts;
  }

  async deadLetterHeads(filter: DeadLetterFilter, limit: number): Promise<DeadLetterHead[]> {
    return this.#parts.deadLetters.heads(filter, limit);
  }

  async loadDeadLetter(id: number): Promise<StoredDeadLetter | null> {
    return this.#parts.deadLetters.load(id);
  }

  async removeDeadLetters(filter: DeadLetterFilter): Promise<number> {
    const { atomically, deadLetters } = this.#parts;
    return atomically(() => deadLetters.remove(filter));
  }

  async expire(nowWallMs: number): Promise<void> {
    const { atomically, deadLetters, conflicts } = this.#parts;
    atomically(() => {
      deadLetters.expire(nowWallMs);
      conflicts.expire(nowWallMs);
    });
  }

  async retain(rules: RetentionRules, nowWallMs: number): Promise<Retained> {
    const { atomically, retention } = this.#parts;
    return atomically(() => retention.step(rules, nowWallMs));
  }

  async storedBytes(limit: number): Promise<StoredBytes> {
    const { shares } = this.#parts;
    return { total: shares.total(), gateways: shares.largestOfAll(limit) };
  }

  async erase(target: ErasureTarget, actor: string): Promise<Erasure> {
    const { atomically, erasures, deadLetters, clock } = this.#parts;
    const id = erasures.begin(target, actor, clock.wallMs());
    for (const window of erasureWindows(erasures.streams(target))) {
      atomically(() => erasures.step(id, target.device, window));
      await nextTurn();
    }
    const ids = await deadLettersOf(this, target);
    const removed = atomically(() => deadLetters.remove({ ids }));
    return erasures.finish(id, removed, clock.wallMs());
  }

  async erasures(limit: number): Promise<Erasure[]> {
    return this.#parts.erasures.newest(limit);
  }

  async where(id: RecordId): Promise<Whereabouts> {
    return this.#parts.whereabouts.find(id);
  }
}
