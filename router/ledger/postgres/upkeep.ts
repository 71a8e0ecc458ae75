/** The second contract (upkeep.ts) on PostgreSQL. */
import type { DeadLetterFilter, DeadLetterHead, LedgerUpkeep, StoredDeadLetter } from '../upkeep.ts';
import type { Database } from './connection.ts';
import { deadLetterHeads, loadDeadLetter, removeDeadLetters } from './dead-letters.ts';
import type { Bound } from './evidence.ts';

export interface PostgresUpkeepParts {
  db: Database;
  deadLetters: Bound;
}

export class PostgresUpkeep implements LedgerUpkeep {
  readonly #db: Database;
  readonly #deadLetters: Bound;

  constructor({ db, deadLetters }: PostgresUpkeepParts) {
    this.#db = db;
    this.#deadLetters = deadLetters;
  }

  deadLetterHeads(filter: DeadLetterFilter, limit: number): Promise<DeadLetterHead[]> {
    return deadLetterHeads(this.#db, filter, limit);
  }

  loadDeadLetter(id: number): Promise<StoredDeadLetter | null> {
    return loadDeadLetter(this.#db, id);
  }

  removeDeadLetters(filter: DeadLetterFilter): Promise<number> {
    return removeDeadLetters(this.#db, filter);
  }

  expire(nowWallMs: number): Promise<void> {
    return this.#deadLetters.trim(this.#db, nowWallMs);
  }
}
