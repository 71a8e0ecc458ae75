/**
 * Positions and partition shares of sources that have no server-side cursor (Event Hubs): texts in the
 * ledger's database, shared by all routers.
 */
export interface CheckpointStore {
  /** Whether several routers may use the store at once. */
  readonly isMultiRouter: boolean;
  loadCheckpoint(source: string, key: string): Promise<string | null>;
  /**
   * Replaces the text `from` (null for no text) by `to`. Returns false and changes nothing when another text
   * is stored. Rejects when the outcome is unknown.
   */
  replaceCheckpoint(source: string, key: string, from: string | null, to: string): Promise<boolean>;
}
