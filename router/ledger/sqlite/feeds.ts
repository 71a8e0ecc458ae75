/** The `cursor` rows: the position of each feed. One router owns the file, so every claim is granted. */
import type { Statement, Transaction } from 'better-sqlite3';
import type { FeedPosition } from '../types.ts';
import type { Sqlite } from './schema.ts';

const NOTHING = new Uint8Array();

export class FeedTable {
  readonly #select: Statement<[string], FeedPosition>;
  readonly #save: Statement<[string, number]>;
  readonly #saveProgress: Statement<[string, Uint8Array]>;
  readonly #set: Transaction<(feed: string, to: FeedPosition) => void>;
  readonly #move: Transaction<(feed: string, from: FeedPosition, to: FeedPosition) => boolean>;

  constructor(db: Sqlite) {
    this.#select = db.prepare(
      'SELECT offset, progress FROM cursor LEFT JOIN cursor_progress USING (feed) WHERE feed = ?',
    );
    this.#save = db.prepare('INSERT OR REPLACE INTO cursor (feed, offset) VALUES (?, ?)');
    this.#saveProgress = db.prepare('INSERT OR REPLACE INTO cursor_progress (feed, progress) VALUES (?, ?)');
    this.#set = db.transaction((feed, { offset, progress }) => {
      this.#save.run(feed, offset);
      this.#saveProgress.run(feed, progress);
    });
    this.#move = db.transaction((feed, from, to) => {
      const now = this.position(feed);
      if (now.offset !== from.offset || Buffer.compare(now.progress, from.progress) !== 0) return false;
      this.#set(feed, to);
      return true;
    });
  }

  position(feed: string): FeedPosition {
    const row = this.#select.get(feed);
    return { offset: row?.offset ?? 0, progress: row?.progress ?? NOTHING };
  }

  set(feed: string, offset: number): void {
    this.#set.immediate(feed, { offset, progress: NOTHING });
  }

  /** Returns false and moves nothing when the feed is not at `from`. */
  move(feed: string, from: FeedPosition, to: FeedPosition): boolean {
    return this.#move.immediate(feed, from, to);
  }
}
