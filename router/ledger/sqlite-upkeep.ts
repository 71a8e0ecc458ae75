/** The second contract (upkeep.ts) on the SQLite file. */
import type { DeadLetterTable } from './sqlite-dead-letters.ts';
import type { Sqlite } from './sqlite-schema.ts';
import type { DeadLetterFilter, DeadLetterHead, LedgerUpkeep, StoredDeadLetter } from './upkeep.ts';

export interface SqliteUpkeepParts {
  db: Sqlite;
  deadLetters: DeadLetterTable;
}

export class SqliteUpkeep implements LedgerUpkeep {
  readonly #parts: SqliteUpkeepParts;

  constructor(parts: SqliteUpkeepParts) {
    this.#parts = parts;
  }

  async deadLetterHeads(filter: DeadLetterFilter, limit: number): Promise<DeadLetterHead[]> {
    return this.#parts.deadLetters.heads(filter, limit);
  }

  async loadDeadLetter(id: number): Promise<StoredDeadLetter | null> {
    return this.#parts.deadLetters.load(id);
  }

  async removeDeadLetters(filter: DeadLetterFilter): Promise<number> {
    const { db, deadLetters } = this.#parts;
    return db.transaction(() => deadLetters.remove(filter)).immediate();
  }

  async expire(nowWallMs: number): Promise<void> {
    const { db, deadLetters } = this.#parts;
    db.transaction(() => deadLetters.expire(nowWallMs)).immediate();
  }
}
