/**
 * Where a source without its own server-side cursor (Event Hubs) keeps its places, and which router reads
 * what: texts in the ledger's database, for all routers the same.
 */
export interface CheckpointStore {
  /** Whether several routers may use it at once. */
  readonly isMultiRouter: boolean;
  loadCheckpoint(source: string, key: string): Promise<string | null>;
  /**
   * Puts `to` in the place of `from`, null where there is nothing; false, and nothing changed, when something
   * else is there. Rejects when that is not known.
   */
  replaceCheckpoint(source: string, key: string, from: string | null, to: string): Promise<boolean>;
}
