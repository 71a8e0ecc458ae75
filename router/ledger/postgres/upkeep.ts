/** The second contract (upkeep.ts) on PostgreSQL. */
import type { RetentionRules } from '../retention.ts';
import type {
  DeadLetterFilter,
  DeadLetterHead,
  LedgerUpkeep,
  Retained,
  StoredDeadLetter,
} from '../upkeep.ts';
import type { Database } from './connection.ts';
import { deadLetterHeads, loadDeadLetter, removeDeadLetters } from './dead-letters.ts';
import type { Bound } from './evidence.ts';
import { Retention } from './retention.ts';

export interface PostgresUpkeepParts {
  db: Database;
  schema: string;
  deadLetters: Bound;
}

export class PostgresUpkeep implements LedgerUpkeep {
  readonly #db: Database;
  readonly #deadLetters: Bound;
  readonly #retention: Retention;

  constructor({ db, schema, deadLetters }: PostgresUpkeepParts) {
    this.#db = db;
    this.#retention = new Retention(db, schema);
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

  retain(rules: RetentionRules, nowWallMs: number): Promise<Retained> {
    return this.#retention.step(rules, nowWallMs);
  }
}
