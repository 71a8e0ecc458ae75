/**
 * The position and the lease of each feed: one message per feed, replaced by compare-and-set. A lease runs
 * from the server's timestamp of its message and expires by the server's clock, the one clock that all
 * routers share.
 */

import type { FeedPosition } from '../types.ts';
import type { Connection } from './connection.ts';
import type { Names } from './names.ts';

/** The content of a feed's message. */
interface Kept {
  offset: number;
  /** In base64. */
  progress: string;
  holder: string | null;
  /** From the message's timestamp, or until a time of the server's clock. */
  lease: { forMs: number } | { untilMs: number };
}

interface Found extends Kept {
  /** Sequence of the message; 0 without one. */
  seq: number;
  untilMs: number;
}

const NOTHING: Found = {
  offset: 0,
  progress: '',
  holder: null,
  lease: { untilMs: 0 },
  seq: 0,
  untilMs: 0,
};

export class FeedStore {
  readonly #connection: Connection;
  readonly #names: Names;

  constructor(connection: Connection, names: Names) {
    this.#connection = connection;
    this.#names = names;
  }

  async load(feed: string): Promise<FeedPosition> {
    return positionOf(await this.#find(feed));
  }

  async reset(feed: string, offset: number): Promise<void> {
    await this.#change(feed, (found) => ({ ...found, offset, progress: '' }));
  }

  async claim(feed: string, holder: string, forMs: number): Promise<FeedPosition | null> {
    const claimed = await this.#change(feed, async (found) => {
      const isFree =
        found.holder === null || found.holder === holder || found.untilMs < (await this.#nowMs());
      return isFree ? { ...found, holder, lease: { forMs } } : null;
    });
    return claimed && positionOf(claimed);
  }

  async release(feed: string, holder: string): Promise<void> {
    await this.#change(feed, (found) =>
      found.holder === holder ? { ...found, holder: null, lease: NOTHING.lease } : null,
    );
  }

  /** Returns false and moves nothing when the feed is not at `from`. */
  async move(feed: string, from: FeedPosition, to: FeedPosition): Promise<boolean> {
    const progress = base64(from.progress);
    const moved = await this.#change(feed, (found) =>
      found.offset === from.offset && found.progress === progress
        ? { ...found, offset: to.offset, progress: base64(to.progress) }
        : null,
    );
    return moved !== null;
  }

  /**
   * Retries the compare-and-set until no other router came in between; null when `change` returns null. A
   * lease that `change` keeps expires at its old time.
   */
  async #change(
    feed: string,
    change: (found: Found) => Kept | null | Promise<Kept | null>,
  ): Promise<Kept | null> {
    const { cursors } = this.#names;
    for (;;) {
      const found = await this.#find(feed);
      const kept = await change({ ...found, lease: { untilMs: found.untilMs } });
      if (kept === null) return null;
      const { offset, progress, holder, lease } = kept;
      const bytes = Buffer.from(JSON.stringify({ offset, progress, holder, lease } satisfies Kept));
      // After the last message of the whole stream: only that check runs in the servers' agreed order
      // (Connection.publishAfter).
      const { last } = await this.#connection.extent(cursors);
      if ((await this.#find(feed)).seq !== found.seq) continue;
      const seq = await this.#connection.publishAfter(cursors, this.#names.cursor(feed), last, bytes);
      if (seq !== null) return kept;
    }
  }

  async #find(feed: string): Promise<Found> {
    const message = await this.#connection.getLatest(this.#names.cursors, this.#names.cursor(feed));
    if (message === null) return NOTHING;
    const kept: Kept = JSON.parse(Buffer.from(message.data).toString());
    const { lease } = kept;
    const untilMs = 'untilMs' in lease ? lease.untilMs : message.time.getTime() + lease.forMs;
    return { ...kept, seq: message.seq, untilMs };
  }

  /** The time by the server's clock. */
  async #nowMs(): Promise<number> {
    await this.#connection.publish(this.#names.ping, new Uint8Array());
    const message = await this.#connection.getLatest(this.#names.cursors, this.#names.ping);
    if (message === null) throw new Error('what was stored is not there');
    return message.time.getTime();
  }
}

function positionOf({ offset, progress }: Kept): FeedPosition {
  return { offset, progress: Buffer.from(progress, 'base64') };
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64');
}
