/**
 * Exports without an importer and files that no program reaches (docs/decisions/0002-own-dead-code-check.md).
 */
import type { Export } from './parse.ts';
import { type Finding, isSource, resolveImport, type Tree } from './tree.ts';

/** Files that are started, not imported; so are those that a script of package.json names. */
const ENTRIES: readonly string[] = [
  'bin/headgate.js',
  'agent/store/thread/worker.ts',
  'router/ingest/decode-worker.ts',
  'router/ledger/sqlite/worker.ts',
  'demo/device.ts',
];

/** Exports and class members that only tests and benches use, each with its reason. */
const FOR_TESTS: Readonly<Record<string, string>> = {
  'cli/program.ts#buildProgram': 'a test asks it for every command there is',
  'shared/interval-set.ts#IntervalSet.equals': 'what tests compare sets by',
  'shared/interval-set.ts#IntervalSet.contains':
    'a range question that receipts and repair ask; kept with the set, and benched',
  'router/ledger/postgres/schema.ts#MIGRATIONS': 'what a test makes an older schema of',
  'agent/downlink/shadow.ts#readShadow':
    'the loopback AWS, like the real one, holds no shadow that is too long',
  'loopback/aws/sigv4.ts#signatureOf': 'checked against the signatures that AWS publishes',
  'router/feeds/sinks/mqtt.ts#feedTopic': 'its replacements are many small cases',
  'shared/pricing/metering.ts#standardTariff': 'the prices that ship, of which tests and benches reckon',
  'shared/pricing/volume.ts#volumePrices':
    'what a new type of provider calls (docs/how-to/adding-a-provider.md)',
};

/** Names that a library calls on what it is given, not we. */
const CALLED_BY_LIBRARIES: Readonly<Record<string, string>> = {
  outgoingEnqueue: 'aedes, of its persistence',
  outgoingEnqueueCombi: 'aedes, of its persistence',
  outgoingUpdate: 'aedes, of its persistence',
  outgoingClearMessageId: 'aedes, of its persistence',
  outgoingStream: 'aedes, of its persistence',
  updateHttpClientConfig: 'the AWS SDK, of its request handler',
  httpHandlerConfigs: 'the AWS SDK, of its request handler',
  _equals: 'grpc-js compares ChannelCredentials by it',
};

export function unusedExports(tree: Tree): Finding[] {
  const importers = importersOf(tree);
  return tree.modules
    .filter(({ path }) => isSource(path))
    .flatMap(({ path, exports }) => {
      const usersOf = (name: string): string[] => [
        ...(importers.get(`${path}#${name}`) ?? []),
        ...(importers.get(`${path}#*`) ?? []),
      ];
      const used = exports.filter(
        ({ name }) => usersOf(name).some(isSource) || `${path}#${name}` in FOR_TESTS,
      );
      keepMentioned(used, exports);
      return exports
        .filter((one) => !used.includes(one))
        .map(({ name, line }) => ({ file: path, line, message: unusedMessage(name, usersOf(name)[0]) }));
    });
}

/** A type that a used export of the same file mentions is part of that one's contract. */
function keepMentioned(used: Export[], exports: readonly Export[]): void {
  for (const { mentions } of used) {
    for (const one of exports) {
      // The loop goes on with what is added here.
      if (one.isType && mentions.has(one.name) && !used.includes(one)) used.push(one);
    }
  }
}

function unusedMessage(name: string, test: string | undefined): string {
  if (test === undefined) return `nobody uses ${name}: delete it, or drop its export`;
  return `only tests use ${name} (${test}): test it through what uses it, or list it in test/tidy/dead-code.ts`;
}

/** Class members that no source names. Not of loopback/, whose classes are there for tests to steer. */
export function unusedMembers(tree: Tree): Finding[] {
  const named = new Map<string, string[]>();
  for (const { path, properties } of tree.modules) {
    for (const name of properties) named.set(name, [...(named.get(name) ?? []), path]);
  }
  return tree.modules
    .filter(({ path }) => isSource(path) && !path.startsWith('loopback/'))
    .flatMap(({ path, members }) =>
      members.flatMap(({ name, member, line }): Finding[] => {
        const users = named.get(member) ?? [];
        const excused = `${path}#${name}` in FOR_TESTS || member in CALLED_BY_LIBRARIES;
        if (excused || users.some(isSource)) return [];
        return [{ file: path, line, message: unusedMessage(name, users[0]) }];
      }),
    );
}

export function unreachableFiles(tree: Tree): Finding[] {
  const modules = new Map(tree.modules.map((module) => [module.path, module]));
  const reached = new Set<string>();
  const pending = [
    ...ENTRIES,
    ...Object.values(tree.package.scripts ?? {}).flatMap((script) => script.split(' ')),
  ];
  for (let path = pending.pop(); path !== undefined; path = pending.pop()) {
    const module = modules.get(path);
    if (!module || reached.has(path)) continue;
    reached.add(path);
    for (const specifier of [...module.imports.map((i) => i.specifier), ...module.paths]) {
      pending.push(resolveImport(path, specifier) ?? '', resolveImport(path, `./${specifier}`) ?? '');
    }
  }
  return [...modules.keys()]
    .filter((path) => isSource(path) && !reached.has(path))
    .map((file) => ({
      file,
      line: 1,
      message: 'no entry point reaches this file: import it, or delete it',
    }));
}

/** `path#name` → who imports it; `path#*` → who imports all of it. */
function importersOf(tree: Tree): Map<string, string[]> {
  const importers = new Map<string, string[]>();
  const add = (key: string, importer: string): void => {
    importers.set(key, [...(importers.get(key) ?? []), importer]);
  };
  const known = new Set(tree.modules.map(({ path }) => path));
  for (const { path, imports, paths } of tree.modules) {
    for (const { specifier, names } of imports) {
      const target = resolveImport(path, specifier);
      for (const name of names === 'all' ? ['*'] : names) add(`${target}#${name}`, path);
    }
    for (const literal of paths) {
      const target = resolveImport(path, literal.startsWith('.') ? literal : `./${literal}`);
      if (target !== null && known.has(target)) add(`${target}#*`, path);
    }
  }
  return importers;
}
