/**
 * Arrows point one way. No file imports itself by way of others, types included, and inside a folder no room
 * (a sub-folder taken whole, or a file beside it) reaches itself by way of other rooms: what a room stands on
 * never looks back up at it.
 */
import { type Finding, isSource, resolveImport, type Tree } from './tree.ts';

interface Arrow {
  from: string;
  to: string;
  /** The imports that draw it. */
  imports: Array<{ file: string; line: number }>;
}

/** One finding for each ring, at the first import of its first arrow. */
export function circles(tree: Tree): Finding[] {
  const files = arrowsOf(tree, (from, to) => [from, to]);
  const rooms = arrowsOf(tree, (from, to) => (isSource(from) ? roomsOf(from, to) : null));
  return [
    ...ringsIn(files, 'move what both need to a file of its own'),
    ...ringsIn(rooms, 'move what both need to a room below, or pass it in from above').filter(
      ({ ring }) => !ring.every((place) => place.endsWith('.ts')),
    ),
  ].map(({ file, line, message }) => ({ file, line, message }));
}

/** The two rooms that an import joins: where the paths part, a sub-folder or a file. Null inside one room. */
function roomsOf(from: string, to: string): [string, string] | null {
  const [a, b] = [from.split('/'), to.split('/')];
  const depth = a.findIndex((part, i) => part !== b[i]);
  // Top folders have their own rule (boundaries).
  if (depth < 1) return null;
  return [a.slice(0, depth + 1).join('/'), b.slice(0, depth + 1).join('/')];
}

function arrowsOf(tree: Tree, ends: (from: string, to: string) => [string, string] | null): Arrow[] {
  const paths = new Set(tree.modules.map(({ path }) => path));
  const arrows = new Map<string, Arrow>();
  for (const { path, imports } of tree.modules) {
    for (const { specifier, line } of imports) {
      const target = resolveImport(path, specifier);
      const pair = target !== null && paths.has(target) ? ends(path, target) : null;
      if (!pair) continue;
      const [from, to] = pair;
      const arrow = arrows.get(keyOf({ from, to })) ?? { from, to, imports: [] };
      arrow.imports.push({ file: path, line });
      arrows.set(keyOf(arrow), arrow);
    }
  }
  return [...arrows.values()];
}

interface Ring extends Finding {
  /** Its members, the first of them again at the end. */
  ring: readonly string[];
}

/** The shortest ring through each arrow, each ring once. */
function ringsIn(arrows: readonly Arrow[], wayOut: string): Ring[] {
  const next = Map.groupBy(arrows, ({ from }) => from);
  const rings = new Map<string, Ring>();
  for (const arrow of arrows) {
    const back = wayFrom(arrow.to, arrow.from, next);
    const [first] = arrow.imports;
    if (back === null || !first) continue;
    const ring = [arrow.from, ...back];
    const key = [...new Set(ring)].sort().join();
    const message = `a circle, ${ring.join(' → ')}: ${wayOut}`;
    if (!rings.has(key)) rings.set(key, { ...first, ring, message });
  }
  return [...rings.values()];
}

/** The shortest way along the arrows, both ends included; null where there is none. */
function wayFrom(start: string, end: string, next: ReadonlyMap<string, readonly Arrow[]>): string[] | null {
  const cameFrom = new Map<string, string | null>([[start, null]]);
  for (const place of cameFrom.keys()) {
    if (place === end) {
      const way: string[] = [];
      for (let at: string | null = place; at !== null; at = cameFrom.get(at) ?? null) way.unshift(at);
      return way;
    }
    for (const { to } of next.get(place) ?? []) if (!cameFrom.has(to)) cameFrom.set(to, place);
  }
  return null;
}

function keyOf({ from, to }: Pick<Arrow, 'from' | 'to'>): string {
  return `${from} -> ${to}`;
}
