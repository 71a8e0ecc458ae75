/**
 * An entry that the ledger will never take, however often it comes: for the dead letters, not for redelivery.
 */

export class EntryRefused extends Error {
  /** `limit`: it would break a bound of the ledger. `refused`: the engine cannot store what it says. */
  readonly reason: 'limit' | 'refused';

  constructor(reason: 'limit' | 'refused', message: string) {
    super(message);
    this.name = 'EntryRefused';
    this.reason = reason;
  }
}
