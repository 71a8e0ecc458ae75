/**
 * A thread loads its modules anew: its start, and its memory, are those of what it imports. So the threads
 * import few packages, and no logger or schemas by way of others.
 */
import { type Finding, resolveImport, type Tree } from './tree.ts';

/** Entry of a thread → the packages that it may load. */
const THREADS: Readonly<Record<string, readonly string[]>> = {
  'agent/store/thread/worker.ts': ['better-sqlite3'],
  'router/ledger/sqlite/worker.ts': ['better-sqlite3', 'cborg'],
};

export function lightThreads(tree: Tree): Finding[] {
  const modules = new Map(tree.modules.map((module) => [module.path, module]));
  return Object.entries(THREADS).flatMap(([thread, allowed]) => {
    const loaded = new Set([thread]);
    const findings: Finding[] = [];
    for (const path of loaded) {
      for (const { specifier, isType, line } of modules.get(path)?.imports ?? []) {
        const target = resolveImport(path, specifier);
        if (isType || specifier.startsWith('node:') || allowed.includes(specifier)) continue;
        // The loop goes on with what is added here.
        if (target !== null) loaded.add(target);
        else findings.push({ file: path, line, message: `${thread} loads ${specifier} by it: import less` });
      }
    }
    return findings;
  });
}
