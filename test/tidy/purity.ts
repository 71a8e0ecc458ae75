/**
 * Pure code (I11) decides; it has no I/O, no clock and no entropy of its own. So it imports neither `node:`
 * modules nor packages, and neither does anything that it runs. Types are free: they are erased.
 */
import { type Finding, resolveImport, type Tree } from './tree.ts';

/** Functions that pure code may run all the same: the same input gives the same output. */
const HARMLESS: Readonly<Record<string, string>> = {
  zod: 'checks values',
  cborg: 'encodes values',
  'node:zlib': 'its functions over buffers',
  'shared/entropy.ts': 'the seeded entropy; the real one comes by argument',
};

/** Folders of these names are pure, wherever they are. */
const PURE_FOLDERS = /^(?:agent|router|shared)\/(?:.+\/)?(?:core|rules|scoring)\//;

/** Pure parts that live beside the driver that they serve. */
const PURE_FILES: readonly string[] = [
  'agent/providers/credentials/slots.ts',
  'agent/store/epoch-clocks.ts',
  'agent/forward/queue/unconfirmed-gaps.ts',
  'agent/forward/delivery/delivery.ts',
  'agent/forward/queue/outstanding.ts',
  'agent/forward/packer.ts',
  'agent/forward/queue/arrivals.ts',
  'agent/forward/queue/stream-queue.ts',
  'agent/policy/draining.ts',
  'agent/history/deliveries.ts',
  'agent/history/stream-load.ts',
  'agent/history/segments.ts',
  'agent/history/tries.ts',
  'agent/simulate/bill.ts',
  'agent/simulate/load.ts',
  'agent/simulate/replay.ts',
  'agent/simulate/tally.ts',
  'agent/simulate/weather.ts',
  'router/receipts/shorten.ts',
  'router/receipts/receipt.ts',
  'shared/interval-set.ts',
  'shared/pricing/metering.ts',
  'shared/policy/topic-filter.ts',
];

export function isPure(path: string): boolean {
  return PURE_FOLDERS.test(path) || PURE_FILES.includes(path);
}

export function purity(tree: Tree): Finding[] {
  const modules = new Map(tree.modules.map((module) => [module.path, module]));
  /** The way from a file to a module that is not ours, by what runs; null when there is none. */
  const wayOut = (path: string, seen: Set<string>): string[] | null => {
    if (seen.has(path)) return null;
    seen.add(path);
    for (const { specifier, isType } of modules.get(path)?.imports ?? []) {
      const target = resolveImport(path, specifier);
      if (isType || (target ?? specifier) in HARMLESS) continue;
      const rest = target === null ? [specifier] : wayOut(target, seen);
      if (rest) return [path, ...rest];
    }
    return null;
  };
  return [...modules.values()]
    .filter(({ path }) => isPure(path))
    .flatMap(({ path, imports }) =>
      imports.flatMap(({ specifier, isType, line }): Finding[] => {
        const target = resolveImport(path, specifier);
        // A pure file that breaks the rule is told of by itself.
        if (isType || (target ?? specifier) in HARMLESS || (target !== null && isPure(target))) return [];
        const way = target === null ? [specifier] : wayOut(target, new Set());
        if (!way) return [];
        const message = `pure code runs ${way.join(' → ')} (I11): take what it needs by argument, or move this part to its driver`;
        return [{ file: path, line, message }];
      }),
    );
}
