/**
 * The broker's session state in the store: items with a name and a value that only the broker reads. They are
 * in the buffer's file so that one commit, with one sync, holds a record and its packet id.
 */
import type Database from 'better-sqlite3';
import type { SessionItem } from '../types.ts';

/** A migration step. */
export const SESSION_ITEMS = `
  CREATE TABLE session_item (
    kind TEXT NOT NULL,
    client TEXT NOT NULL,
    key TEXT NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (kind, client, key)
  ) STRICT, WITHOUT ROWID;
`;

/**
 * A migration step. A message may be queued for many clients at once: their copies are adjacent, in one page
 * that a commit writes instead of one for each client.
 */
export const SESSION_QUEUE = `
  CREATE TABLE session_queue (
    position INTEGER PRIMARY KEY,
    client TEXT NOT NULL,
    value BLOB NOT NULL
  ) STRICT;
  INSERT OR IGNORE INTO session_queue SELECT CAST(key AS INTEGER), client, value FROM session_item WHERE kind = 'outgoing';
  DELETE FROM session_item WHERE kind = 'outgoing';
`;

export class SessionItems {
  readonly #put: Database.Statement<[string, string, string, Uint8Array]>;
  readonly #delete: Database.Statement<[string, string, string]>;
  readonly #enqueue: Database.Statement<[number, string, Uint8Array]>;
  readonly #dequeue: Database.Statement<[number]>;
  readonly #all: Database.Statement<[], SessionItem>;

  constructor(db: Database.Database) {
    this.#put = db.prepare(
      'INSERT OR REPLACE INTO session_item (kind, client, key, value) VALUES (?, ?, ?, ?)',
    );
    this.#delete = db.prepare('DELETE FROM session_item WHERE kind = ? AND client = ? AND key = ?');
    this.#enqueue = db.prepare(
      'INSERT OR REPLACE INTO session_queue (position, client, value) VALUES (?, ?, ?)',
    );
    this.#dequeue = db.prepare('DELETE FROM session_queue WHERE position = ?');
    this.#all = db.prepare(
      `SELECT kind, client, key, value FROM session_item
       UNION ALL SELECT 'outgoing', client, CAST(position AS TEXT), value FROM session_queue`,
    );
  }

  all(): SessionItem[] {
    return this.#all.all();
  }

  write(items: readonly SessionItem[]): void {
    for (const { kind, client, key, value } of items) {
      if (kind === 'outgoing') {
        if (value === null) this.#dequeue.run(Number(key));
        else this.#enqueue.run(Number(key), client, value);
      } else if (value === null) this.#delete.run(kind, client, key);
      else this.#put.run(kind, client, key, value);
    }
  }
}
