/**
 * Who may import whom. The longest prefix that matches a file decides; `node:` modules and packages are free,
 * except to the pure.
 */
import { type Finding, resolveImport, type Tree } from './tree.ts';

/** Folder or file → what it may import, as prefixes. Itself is always allowed. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  'shared/': [],
  'agent/': ['shared/'],
  // Routing decides; it knows a provider by its outcomes only.
  'agent/routing/core/': ['agent/providers/publisher.ts', 'shared/'],
  'agent/routing/': ['agent/providers/publisher.ts', 'agent/runtime/state-file.ts', 'shared/'],
  'agent/store/': ['shared/'],
  'router/': ['shared/'],
  'loopback/': ['shared/'],
  'demo/': ['router/ledger/', 'loopback/ca.ts', 'loopback/cloud.ts', 'loopback/faults.ts', 'shared/'],
  'cli/': ['agent/', 'router/', 'loopback/', 'demo/', 'shared/'],
  'bin/': ['cli/'],
  'test/': ['agent/', 'router/', 'loopback/', 'demo/', 'cli/', 'shared/'],
  // The servers of the ledger's suites are those of its bench, and a bench tells its options as other scripts
  // do.
  'bench/': ['agent/', 'router/', 'loopback/', 'demo/', 'cli/', 'shared/', 'test/script.ts', 'test/servers/'],
};

/** The pure core (I11): no I/O, no clock, no entropy of its own, so neither `node:` modules nor packages. */
const PURE: readonly string[] = [
  'agent/providers/credentials/slots.ts',
  'agent/routing/core/',
  'agent/store/epoch-clocks.ts',
  'agent/forward/queue/unconfirmed-gaps.ts',
  'agent/forward/delivery/delivery.ts',
  'agent/forward/queue/outstanding.ts',
  'agent/forward/packer.ts',
  'agent/forward/queue/stream-queue.ts',
  'agent/history/deliveries.ts',
  'agent/history/stream-load.ts',
  'agent/history/segments.ts',
  'agent/history/tries.ts',
  'agent/simulate/bill.ts',
  'agent/simulate/load.ts',
  'agent/simulate/replay.ts',
  'agent/simulate/tally.ts',
  'agent/simulate/weather.ts',
  'router/ledger/rules/',
  'router/receipts/shorten.ts',
  'router/receipts/receipt.ts',
  'shared/interval-set.ts',
  'shared/pricing/metering.ts',
  'shared/scoring/',
  'shared/policy/topic-filter.ts',
];

export function boundaries(tree: Tree): Finding[] {
  return tree.modules.flatMap(({ path, imports }) => {
    const place = Object.keys(MAY_IMPORT)
      .filter((prefix) => path.startsWith(prefix))
      .reduce((longest, prefix) => (prefix.length > longest.length ? prefix : longest), '');
    const allowed = [place, ...(MAY_IMPORT[place] ?? [])];
    const pure = PURE.some((prefix) => path.startsWith(prefix));
    return imports.flatMap(({ specifier, line }): Finding[] => {
      const target = resolveImport(path, specifier);
      if (target === null) {
        if (!pure) return [];
        const message = `pure code imports ${specifier} (I11): take what it needs by argument, or move this part to its driver`;
        return [{ file: path, line, message }];
      }
      if (allowed.some((prefix) => target.startsWith(prefix))) return [];
      const message = `${place} must not import ${target}: move what both need to shared/, or pass it in from the composition root`;
      return [{ file: path, line, message }];
    });
  });
}
