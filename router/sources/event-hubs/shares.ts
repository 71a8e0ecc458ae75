/**
 * Who reads which partition of an event hub, and from where: one text for each hub and consumer group, the
 * same for all routers, that each changes by compare-and-set. So whoever moves a checkpoint has just seen
 * that the partition is still its own: one that it was taken from cannot move it back.
 *
 * A router lives while its beat changes. How long it has not is measured by each reader's own monotonic
 * clock, so that no two clocks are ever compared.
 */
import { z } from 'zod';
import { type Position, position } from './position.ts';

const sharesText = z.object({
  /** By router: a number that grows with every change that it makes. */
  routers: z.record(z.string(), z.int()),
  partitions: z.record(z.string(), z.object({ owner: z.string().nullable(), position: position.nullable() })),
});

export type Shares = z.infer<typeof sharesText>;

export function formatShares(shares: Shares): string {
  return JSON.stringify(shares);
}

/** Nothing shared yet for null. Throws for a text that is not ours: a newer Headgate may have written it. */
export function parseShares(text: string | null): Shares {
  return text === null ? { routers: {}, partitions: {} } : sharesText.parse(JSON.parse(text));
}

interface Turn {
  /** Whose turn it is. */
  router: string;
  /** Routers that are known to be gone. */
  gone: ReadonlySet<string>;
  /** All that the hub has. */
  partitions: readonly string[];
  /** How far this router is in those that it reads. */
  positions: ReadonlyMap<string, Position>;
}

/**
 * What the shares become when it is this router's turn (I11): it says that it lives and how far it is, clears
 * away who is gone, and takes its part: what nobody has, up to as many as are due to it; with fewer than
 * anyone must have, also from who has most.
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

/** What the shares become when this router ends by itself: others need not wait to find it gone. */
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
