/**
 * A gateway's state from the commits: its contacts by source, and the mapping from each boot's clock to wall
 * time (I7).
 */

import { BOOT_CLOCK_WRITE_MS, type BootClock } from '../../rules/boot-clocks.ts';
import type { GatewayContact } from '../../types.ts';
import type { Folding } from './fold.ts';

export interface GatewayItem {
  gateway: string;
  lastWallMs: Map<string, number>;
  bootOffsetMs: Map<string, number>;
}

type Row = [gateway: string, contacts: [string, number][], boots: [string, number][]];

export const gatewayFolding: Folding<GatewayItem, GatewayContact | BootClock> = {
  apply(before, change) {
    const item = before ?? { gateway: change.gateway, lastWallMs: new Map(), bootOffsetMs: new Map() };
    if ('source' in change) {
      const { source, lastWallMs } = change;
      item.lastWallMs.set(source, Math.max(lastWallMs, item.lastWallMs.get(source) ?? lastWallMs));
      return item;
    }
    const known = item.bootOffsetMs.get(change.bootId);
    if (
      known === undefined ||
      (change.verified && Math.abs(known - change.offsetMs) >= BOOT_CLOCK_WRITE_MS)
    ) {
      item.bootOffsetMs.set(change.bootId, change.offsetMs);
    }
    return item;
  },
  encode: ({ gateway, lastWallMs, bootOffsetMs }): Row => [gateway, [...lastWallMs], [...bootOffsetMs]],
  decode(value) {
    const [gateway, contacts, boots] = value as Row;
    return { gateway, lastWallMs: new Map(contacts), bootOffsetMs: new Map(boots) };
  },
};
