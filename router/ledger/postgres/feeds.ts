/**
 * The `cursor` rows: the position and the lease of each feed. Leases expire by the server's clock, the one
 * clock that all routers share.
 */

import type { FeedPosition } from '../types.ts';
import type { Queryable } from './connection.ts';

export async function loadFeedPosition(client: Queryable, feed: string): Promise<FeedPosition> {
  const { rows } = await client.query<FeedPosition>(
    'SELECT last_offset AS "offset", progress FROM cursor WHERE feed = $1',
    [feed],
  );
  return rows[0] ?? { offset: 0, progress: new Uint8Array() };
}

export async function resetFeedPosition(client: Queryable, feed: string, offset: number): Promise<void> {
  await client.query(
    `INSERT INTO cursor (feed, last_offset) VALUES ($1, $2)
     ON CONFLICT (feed) DO UPDATE SET last_offset = excluded.last_offset, progress = excluded.progress`,
    [feed, offset],
  );
}

/** One statement, so that of two concurrent routers only one gets the lease. */
export async function claimFeedPosition(
  client: Queryable,
  feed: string,
  holder: string,
  forMs: number,
): Promise<FeedPosition | null> {
  const { rows } = await client.query<FeedPosition>(
    `INSERT INTO cursor (feed, last_offset, holder, held_until)
     VALUES ($1, 0, $2, clock_timestamp() + $3::double precision * interval '1 millisecond')
     ON CONFLICT (feed) DO UPDATE SET holder = excluded.holder, held_until = excluded.held_until
       WHERE cursor.holder IS NULL OR cursor.holder = excluded.holder OR cursor.held_until < clock_timestamp()
     RETURNING last_offset AS "offset", progress`,
    [feed, holder, forMs],
  );
  return rows[0] ?? null;
}

export async function releaseFeedPosition(client: Queryable, feed: string, holder: string): Promise<void> {
  await client.query('UPDATE cursor SET holder = NULL WHERE feed = $1 AND holder = $2', [feed, holder]);
}

export async function moveFeedPosition(
  client: Queryable,
  feed: string,
  from: FeedPosition,
  to: FeedPosition,
): Promise<boolean> {
  const { rows } = await client.query(
    `UPDATE cursor SET last_offset = $4, progress = $5
     WHERE feed = $1 AND last_offset = $2 AND progress = $3 RETURNING feed`,
    [feed, from.offset, from.progress, to.offset, to.progress],
  );
  return rows.length === 1;
}
