/** A YAML file with the position of each value, so that an error is reported by line and column. */
import { isAlias, isMap, isScalar, isSeq, LineCounter, type Node, type Pair, parseDocument } from 'yaml';
import type { ConfigProblem } from './problem.ts';
import { isSecretPath, scrub, tookInSecret } from './redact.ts';

/** Deeper than any real configuration; it also stops an alias that contains itself. */
const MAX_DEPTH = 32;
const MAX_SHOWN = 80;
/** More mistakes than these are not reported. */
export const PROBLEMS_MAX = 100;

export type Path = readonly PropertyKey[];

interface Place {
  line: number;
  column: number;
}

export interface ConfigDocument {
  file: string;
  /** The plain value, references not yet resolved. An empty file is an empty mapping. */
  raw: unknown;
  /**
   * The position of the value at `path`, of its key with `key`, or of the nearest parent of an absent value.
   */
  locate(path: Path, key?: boolean): Place;
}

type DocumentResult = { ok: true; document: ConfigDocument } | { ok: false; problems: ConfigProblem[] };

/**
 * Parses `text`. Every syntax error becomes a problem, but only the first of a line: later ones follow from
 * it.
 */
export function parseConfigText(file: string, text: string): DocumentResult {
  const counter = new LineCounter();
  // Warnings are problems here; on the console they would show keys, which may be secrets.
  const parsed = parseDocument(text, { prettyErrors: false, lineCounter: counter, logLevel: 'error' });
  const problems: ConfigProblem[] = [];
  const lines = new Set<number>();
  for (const error of [...parsed.errors, ...parsed.warnings]) {
    const { line, col } = counter.linePos(error.pos[0]);
    if (lines.has(line) || problems.length >= PROBLEMS_MAX) continue;
    lines.add(line);
    problems.push(syntaxProblem(file, { line, column: col }, withoutSource(error.message)));
  }
  if (problems.length > 0) return { ok: false, problems };
  let raw: unknown;
  try {
    raw = parsed.toJS() ?? {};
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return { ok: false, problems: [syntaxProblem(file, { line: 1, column: 1 }, message)] };
  }
  if (!isShallow(raw, MAX_DEPTH)) {
    const message = `nested deeper than ${MAX_DEPTH} levels, or an alias inside its own anchor`;
    return { ok: false, problems: [syntaxProblem(file, { line: 1, column: 1 }, message)] };
  }
  const locate = (path: Path, key = false): Place => {
    const { line, col } = counter.linePos(offsetOf(parsed.contents, parsed, path, key));
    return { line: Math.max(line, 1), column: Math.max(col, 1) };
  };
  return { ok: true, document: { file, raw, locate } };
}

function syntaxProblem(file: string, place: Place, message: string): ConfigProblem {
  const hint = 'check the indentation (spaces, not tabs), quotes and colons on this line and the one above';
  return { file, path: '', ...place, message: `not valid YAML: ${message}`, found: null, hint };
}

/** Some parser messages end with the offending text, which may be a secret. */
function withoutSource(message: string): string {
  return message.replace(/: ".*$/s, '');
}

function isShallow(value: unknown, depth: number): boolean {
  if (typeof value !== 'object' || value === null) return true;
  return depth > 0 && Object.values(value).every((child) => isShallow(child, depth - 1));
}

/** Walks down as far as the path exists; the offset of the last existing node. */
function offsetOf(
  contents: Node | null,
  root: ReturnType<typeof parseDocument>,
  path: Path,
  key: boolean,
): number {
  let node: unknown = contents;
  let offset = contents?.range?.[0] ?? 0;
  for (const [index, segment] of path.entries()) {
    if (isAlias(node)) node = node.resolve(root);
    const wantsKey = key && index === path.length - 1;
    let child: unknown;
    if (isMap(node)) {
      const pair = node.items.find((item) => keyText(item) === String(segment));
      if (pair === undefined) return offset;
      offset = startOf(pair.key) ?? offset;
      child = wantsKey ? undefined : pair.value;
    } else if (isSeq(node)) {
      child = node.items[Number(segment)];
    }
    if (child === undefined || child === null) return offset;
    offset = startOf(child) ?? offset;
    node = child;
  }
  return offset;
}

function keyText(pair: Pair): string {
  return isScalar(pair.key) ? String(pair.key.value) : String(pair.key);
}

function startOf(node: unknown): number | undefined {
  return isScalar(node) || isMap(node) || isSeq(node) || isAlias(node) ? node.range?.[0] : undefined;
}

/** The value at `path` in a plain tree, or undefined. */
export function valueAt(tree: unknown, path: Path): unknown {
  let value = tree;
  for (const segment of path) {
    if (typeof value !== 'object' || value === null) return undefined;
    // Not `length` of a list, nor anything inherited.
    const isOwn = Object.prototype.propertyIsEnumerable.call(value, segment);
    value = isOwn ? Reflect.get(value, segment) : undefined;
  }
  return value;
}

/**
 * The text of the value at `path` for a report: as written, cut; of one with lines only their number. Secrets
 * and their siblings are never shown.
 */
export function shownAt(document: ConfigDocument, path: Path, secrets: Iterable<string>): string | null {
  const value = valueAt(document.raw, path);
  if (value === undefined) return null;
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (typeof value === 'object' && value !== null) return 'a mapping';
  const text = JSON.stringify(value);
  const onlyReference = typeof value === 'string' && /^(\$\{\w+\}|file:\/\S*)$/.test(value);
  if (isSecretPath(path) && !onlyReference && value !== null) return '[redacted]';
  if (typeof value === 'string' && value.includes('\n')) return `a text of ${value.split('\n').length} lines`;
  const clean = scrub(text, secrets);
  const shown = clean.slice(0, MAX_SHOWN);
  if (tookInSecret(shown)) return '[redacted]';
  return shown === clean ? shown : `${shown}…`;
}
