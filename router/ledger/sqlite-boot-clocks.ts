/**
 * The `boot_clock` rows: for each boot of a gateway, how its monotonic time maps to wall time by its own synchronised clock.
 * Records that came with an unsynchronised mapping of the same boot are read with this one (I7), whichever came first, and
 * whether it came with records, gaps or a heartbeat.
 */
import type { Statement } from 'better-sqlite3';
import type { LedgerEntry } from './ledger.ts';
import type { Sqlite } from './sqlite-schema.ts';

/** A clock is steered all the time; a smaller move is not worth a write. */
const WRITE_MS = 50;

export class BootClockTable {
  readonly #save: Statement<[string, string, number]>;

  constructor(db: Sqlite) {
    this.#save = db.prepare(
      `INSERT INTO boot_clock (gateway, boot_id, offset_ms) VALUES (?, ?, ?)
       ON CONFLICT DO UPDATE SET offset_ms = excluded.offset_ms
       WHERE abs(offset_ms - excluded.offset_ms) >= ${WRITE_MS}`,
    );
  }

  /** Inside the transaction that commits `entries`. */
  learn(entries: readonly LedgerEntry[]): void {
    const latest = new Map<string, LedgerEntry['envelope']>();
    for (const { envelope } of entries) {
      const { gateway, clock } = envelope;
      if (clock.quality === 'synchronised') latest.set(JSON.stringify([gateway, clock.bootId]), envelope);
    }
    for (const { gateway, clock } of latest.values()) this.#save.run(gateway, clock.bootId, clock.offsetMs);
  }
}
