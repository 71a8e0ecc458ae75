/** The files that the tidy rules judge: what git tracks, and what it would if asked to. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { type Module, parseModules } from './parse.ts';

/** One breach of a rule, with the way out of it. */
export interface Finding {
  file: string;
  line: number;
  message: string;
}

export interface Tree {
  /** Path → text of every tracked text file but the lock file. */
  files: ReadonlyMap<string, string>;
  modules: readonly Module[];
  package: PackageFile;
}

export interface PackageFile {
  dependencies?: Record<string, string>;
  optionalDependencies?: Record<string, string>;
  devDependencies?: Record<string, string>;
  scripts?: Record<string, string>;
}

/** The folders that ship. Everything else is there to build, test or measure it. */
const SOURCE_FOLDERS = ['agent', 'router', 'shared', 'loopback', 'cli', 'demo', 'bin'];
const MODULE_FOLDERS = [...SOURCE_FOLDERS, 'build', 'test', 'bench'];

export function readTree(root: string): Tree {
  const listed = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
    cwd: root,
    encoding: 'utf8',
  });
  const paths = [...new Set(listed.split('\0'))].filter(
    (path) => path !== '' && path !== 'package-lock.json',
  );
  const files = new Map<string, string>();
  for (const path of paths.filter((path) => existsSync(join(root, path)))) {
    const text = readFileSync(join(root, path), 'utf8');
    if (!text.includes('\0')) files.set(path, text);
  }
  return treeOf(files);
}

export function treeOf(files: ReadonlyMap<string, string>): Tree {
  const modules = [...files].filter(([path]) => /\.[tj]s$/.test(path) && isIn(MODULE_FOLDERS, path));
  return {
    files,
    modules: parseModules(new Map(modules)),
    package: JSON.parse(files.get('package.json') ?? '{}'),
  };
}

export function isSource(path: string): boolean {
  return isIn(SOURCE_FOLDERS, path);
}

export function isTest(path: string): boolean {
  return path.startsWith('test/');
}

/** The path that a relative import names, seen from the root; null for a package. */
export function resolveImport(from: string, specifier: string): string | null {
  return specifier.startsWith('.') ? posix.join(posix.dirname(from), specifier) : null;
}

export function format({ file, line, message }: Finding): string {
  return `${file}:${line}: ${message}`;
}

/** Lines of a text that match, from 1, with what matched. */
export function* matchingLines(text: string, pattern: RegExp): Generator<{ line: number; match: string }> {
  for (const [i, content] of text.split('\n').entries()) {
    const match = pattern.exec(content)?.[0];
    if (match !== undefined) yield { line: i + 1, match };
  }
}

function isIn(folders: readonly string[], path: string): boolean {
  return folders.includes(path.split('/')[0] ?? '');
}
