/**
 * Which router reads which partition of an event hub, and from where: one text for each hub and consumer
 * group, shared by all routers and changed by compare-and-set. A router that moves a checkpoint has therefore
 * just seen that it still owns the partition; a former owner cannot move the checkpoint back.
 *
 * A router is alive while its beat changes. Each reader measures the time without a change by its own
 * monotonic clock, so clocks of different machines are never compared.
 */
import { z } from 'zod';
import { type Position, position } from './position.ts';

const sharesText = z.object({
  /** By router: a counter that grows with every change by that router. */
  routers: z.record(z.string(), z.int()),
  partitions: z.record(z.string(), z.object({ owner: z.string().nullable(), position: position.nullable() })),
});

export type Shares = z.infer<typeof sharesText>;

export function formatShares(shares: Shares): string {
  return JSON.stringify(shares);
}

/** Null means no shares yet. Throws for a text in an unknown format: a newer Headgate may have written it. */
export function parseShares(text: string | null): Shares {
  return text === null ? { routers: {}, partitions: {} } : sharesText.parse(JSON.parse(text));
}

interface Turn {
  /** The router that takes the turn. */
  router: string;
  /** Routers that have expired. */
  gone: ReadonlySet<string>;
  /** All partitions of the hub. */
  partitions: readonly string[];
  /** This router's position in each partition that it reads. */
  positions: ReadonlyMap<string, Position>;
}

/**
 * The shares after one turn of a router (I11). The router increments its beat and stores its positions.
 * Expired routers are removed. The router then takes free partitions up to its fair share; while it has fewer
 * than the minimum share, it also takes partitions from the router with the most.
 */
export function takeTurn(before: Shares, { router, gone, partitions, positions }: Turn): Shares {
  const routers = Object.entries(before.routers).filter(([name]) => !gone.has(name));
  const beat = (before.routers[router] ?? 0) + 1;
  const after: Shares = { routers: { ...Object.fromEntries(routers), [router]: beat }, partitions: {} };
  for (const id of partitions) {
    const { owner = null, position = null } = before.partitions[id] ?? {};
    const lives = owner !== null && owner in after.routers;
    const own = owner === router ? positions.get(id) : undefined;
    after.partitions[id] = { owner: lives ? owner : null, position: own ?? position };
  }
  const live = Object.keys(after.routers).length;
  while (ownedBy(after, router).length < Math.ceil(partitions.length / live) && give(after, null, router));
  while (
    ownedBy(after, router).length < Math.floor(partitions.length / live) &&
    give(after, richest(after), router)
  );
  return after;
}

/** The shares after a router stops by itself, so that the others need not wait for its lease to expire. */
export function leave(before: Shares, router: string, positions: ReadonlyMap<string, Position>): Shares {
  const { [router]: _, ...routers } = before.routers;
  const partitions = Object.entries(before.partitions).map(([id, share]) =>
    share.owner === router
      ? [id, { owner: null, position: positions.get(id) ?? share.position }]
      : [id, share],
  );
  return { routers, partitions: Object.fromEntries(partitions) };
}

export function ownedBy({ partitions }: Shares, router: string | null): string[] {
  return Object.entries(partitions).flatMap(([id, { owner }]) => (owner === router ? [id] : []));
}

/** Gives one of `from`'s partitions to `to`; false when there is none. */
function give(shares: Shares, from: string | null, to: string): boolean {
  const share = shares.partitions[ownedBy(shares, from)[0] ?? ''];
  if (share) share.owner = to;
  return share !== undefined;
}

function richest(shares: Shares): string | null {
  const counts = Object.keys(shares.routers).map((name) => ({ name, count: ownedBy(shares, name).length }));
  return counts.reduce((most, one) => (one.count > most.count ? one : most), { name: '', count: 0 }).name;
}
