/** The `boot_clock` rows (boot-clocks.ts). */
import type { Statement } from 'better-sqlite3';
import { BOOT_CLOCK_WRITE_MS, bootClocksOf } from '../rules/boot-clocks.ts';
import type { LedgerEntry } from '../types.ts';
import type { Sqlite } from './schema.ts';

export class BootClockTable {
  readonly #save: Statement<[string, string, number]>;
  readonly #saveFirst: Statement<[string, string, number]>;

  constructor(db: Sqlite) {
    this.#save = db.prepare(
      `INSERT INTO boot_clock (gateway, boot_id, offset_ms) VALUES (?, ?, ?)
       ON CONFLICT DO UPDATE SET offset_ms = excluded.offset_ms
       WHERE abs(offset_ms - excluded.offset_ms) >= ${BOOT_CLOCK_WRITE_MS}`,
    );
    this.#saveFirst = db.prepare(
      'INSERT INTO boot_clock (gateway, boot_id, offset_ms) VALUES (?, ?, ?) ON CONFLICT DO NOTHING',
    );
  }

  /** Runs inside the transaction that commits `entries`. */
  learn(entries: readonly LedgerEntry[]): void {
    for (const { gateway, bootId, offsetMs, verified } of bootClocksOf(entries)) {
      const save = verified ? this.#save : this.#saveFirst;
      save.run(gateway, bootId, offsetMs);
    }
  }
}
