/**
 * How far each feed is, and which router runs it until when: one message per feed, replaced by
 * compare-and-set. A lease begins at the time that the server gave its message, and ends by the server's
 * clock, the one clock that all routers share.
 */

import type { FeedPosition } from '../types.ts';
import type { Connection } from './connection.ts';
import type { Names } from './names.ts';

/** What a feed's message says. */
interface Kept {
  offset: number;
  /** Base64. */
  progress: string;
  holder: string | null;
  /** From the time of the message, or until a moment of the server's clock. */
  lease: { forMs: number } | { untilMs: number };
}

interface Found extends Kept {
  /** Of the message; 0 when there is none. */
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

  /** False, and nothing moved, when the feed is not at `from`. */
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
   * Again until nobody came between; null when `change` wants none. A lease that it leaves alone ends when it
   * did.
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
      // Behind the last message of all, because only that is checked in the order that the servers agree on
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

  /** By the server's clock. */
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
