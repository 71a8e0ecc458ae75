/**
 * The top folders that each top folder may import, and the rooms that may import less than their folder. The
 * longest prefix that matches a file decides. Inside a folder the rule is circles.ts; for `node:` modules and
 * packages, see purity.ts.
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
  'test/': ['agent/', 'router/', 'loopback/', 'demo/', 'cli/', 'shared/', 'build/licences.ts'],
  // The servers of the ledger's suites are those of its bench, and a bench tells its options as other scripts
  // do.
  'bench/': ['agent/', 'router/', 'loopback/', 'demo/', 'cli/', 'shared/', 'test/script.ts', 'test/servers/'],
};

export function boundaries(tree: Tree): Finding[] {
  return tree.modules.flatMap(({ path, imports }) => {
    const place = Object.keys(MAY_IMPORT)
      .filter((prefix) => path.startsWith(prefix))
      .reduce((longest, prefix) => (prefix.length > longest.length ? prefix : longest), '');
    const allowed = [place, ...(MAY_IMPORT[place] ?? [])];
    return imports.flatMap(({ specifier, line }): Finding[] => {
      const target = resolveImport(path, specifier);
      if (target === null || allowed.some((prefix) => target.startsWith(prefix))) return [];
      const message = `${place} must not import ${target}: move what both need to shared/, or pass it in from the composition root`;
      return [{ file: path, line, message }];
    });
  });
}
