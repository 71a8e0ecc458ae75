/** The maintenance contract (../maintenance.ts) on PostgreSQL. */
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
import type { Database } from './connection.ts';
import { deadLetterHeads, loadDeadLetter, removeDeadLetters } from './dead-letters.ts';
import { beginErasure, eraseWindow, finishErasure, newestErasures } from './erasure.ts';
import type { EvidenceBound } from './evidence-bound.ts';
import { Retention } from './retention.ts';
import { storedBytesOf } from './shares.ts';
import { listStreams } from './streams.ts';
import { whereabouts } from './whereabouts.ts';

export interface PostgresMaintenanceParts {
  db: Database;
  schema: string;
  clock: Clock;
  /** Of each table of evidence. */
  bounds: readonly EvidenceBound[];
}

export class PostgresMaintenance implements LedgerMaintenance {
  readonly #db: Database;
  readonly #clock: Clock;
  readonly #bounds: readonly EvidenceBound[];
  readonly #retention: Retention;

  constructor({ db, schema, clock, bounds }: PostgresMaintenanceParts) {
    this.#db = db;
    this.#clock = clock;
    this.#retention = new Retention(db, schema);
    this.#bounds = bounds;
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

  async expire(nowWallMs: number): Promise<void> {
    for (const bound of this.#bounds) await bound.trim(this.#db, nowWallMs);
  }

  retain(rules: RetentionRules, nowWallMs: number): Promise<Retained> {
    return this.#retention.step(rules, nowWallMs);
  }

  storedBytes(limit: number): Promise<StoredBytes> {
    return storedBytesOf(this.#db, limit);
  }

  async erase(target: ErasureTarget, actor: string): Promise<Erasure> {
    const id = await beginErasure(this.#db, target, actor, this.#clock.wallMs());
    const streams = (await listStreams(this.#db, target.gateway ?? undefined)).map(
      ({ key, id: streamId, state }) => ({ gateway: key.gateway, streamId, max: state.seen.max }),
    );
    for (const window of erasureWindows(streams)) {
      await this.#db.transaction((client) => eraseWindow(client, id, target.device, window));
    }
    const ids = await deadLettersOf(this, target);
    const removed = await removeDeadLetters(this.#db, { ids });
    return finishErasure(this.#db, id, removed, this.#clock.wallMs());
  }

  erasures(limit: number): Promise<Erasure[]> {
    return newestErasures(this.#db, limit);
  }

  where(id: RecordId): Promise<Whereabouts> {
    return whereabouts(this.#db, id);
  }
}
