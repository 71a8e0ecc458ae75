/**
 * Reads a configuration file: YAML, then references, then the schema. One report lists every error with its
 * place, so that a gateway is configured in one visit. A report shows a value as the file has it, never the
 * resolved reference.
 */
import { readFileSync } from 'node:fs';
import type { z } from 'zod';
import { type ConfigDocument, type Path, parseConfigText, valueAt } from './document.ts';
import { problemsOf } from './issues.ts';
import { editorSchema, schemasAt } from './json-schema.ts';
import { type ConfigProblem, inFileOrder } from './problem.ts';
import { errorCode, type ReferenceSources, resolveReferences } from './references.ts';

export type { ConfigProblem } from './problem.ts';
export { formatProblems } from './problem.ts';
export type { ReferenceSources } from './references.ts';

export type ConfigResult<T> = { ok: true; config: T } | { ok: false; problems: ConfigProblem[] };

/** Characters of a file: a fleet's policy with a thousand streams has a tenth. */
const TEXT_MAX = 2 * 2 ** 20;

/** The process's environment and the real file system. */
export const systemSources: ReferenceSources = {
  env: process.env,
  readFile: (file) => readFileSync(file, 'utf8'),
};

/** A parsed file with resolved references, before validation. */
interface OpenConfig {
  document: ConfigDocument;
  value: unknown;
  secrets: ReadonlySet<string>;
  /** Unresolvable references. */
  problems: ConfigProblem[];
}

type OpenResult = { ok: true; opened: OpenConfig } | { ok: false; problems: ConfigProblem[] };

/** Reads and validates `file`; returns the configuration, or all its errors. */
export function loadConfig<Schema extends z.ZodType>(
  file: string,
  schema: Schema,
  sources: ReferenceSources = systemSources,
): ConfigResult<z.output<Schema>> {
  const opening = openConfig(file, sources);
  return opening.ok ? validateConfig(opening.opened, schema) : opening;
}

/**
 * Reads and validates the sections of `file` that `schema` has, and resolves the references in these alone:
 * for a command that needs neither the other sections nor their secrets. Mistakes elsewhere do not count.
 */
export function loadSections<Schema extends z.ZodType>(
  file: string,
  schema: Schema,
  sources: ReferenceSources = systemSources,
): ConfigResult<z.output<Schema>> {
  const known = editorSchema(schema, '');
  const opening = openConfig(file, sources, (path, raw) => schemasAt(known, path, raw).length > 0);
  return opening.ok ? validateConfig(opening.opened, schema) : opening;
}

/**
 * Reads and parses `file` and resolves its references, or those that are needed. Not ok when it is unreadable
 * or not YAML.
 */
export function openConfig(
  file: string,
  sources: ReferenceSources,
  isNeeded: (path: Path, raw: unknown) => boolean = () => true,
): OpenResult {
  let text: string;
  try {
    text = sources.readFile(file);
  } catch (error) {
    const message = `cannot be read (${errorCode(error)})`;
    const hint = 'check the path, and that this user may read the file';
    return {
      ok: false,
      problems: [{ file, path: '', line: null, column: null, message, found: null, hint }],
    };
  }
  if (text.length > TEXT_MAX) {
    const message = `longer than ${TEXT_MAX / 2 ** 20} MiB`;
    const hint = 'name another file: this one is no configuration';
    const place = { path: '', line: null, column: null, found: null };
    return { ok: false, problems: [{ file, ...place, message, hint }] };
  }
  const parsed = parseConfigText(file, text);
  if (!parsed.ok) return parsed;
  const { value, secrets, problems } = resolveReferences(parsed.document, sources, (path) =>
    isNeeded(path, parsed.document.raw),
  );
  return { ok: true, opened: { document: parsed.document, value, secrets, problems } };
}

/** Validates an opened file against a schema. */
export function validateConfig<Schema extends z.ZodType>(
  opened: OpenConfig,
  schema: Schema,
): ConfigResult<z.output<Schema>> {
  let result = schema.safeParse(opened.value);
  if (!result.success) {
    const typed = retypeReferences(opened, result.error.issues);
    if (typed !== null) result = schema.safeParse(typed);
  }
  if (result.success && opened.problems.length === 0) return { ok: true, config: result.data };
  const issues = result.success ? [] : result.error.issues;
  const reported = new Set(opened.problems.map((problem) => problem.path));
  const { document, secrets } = opened;
  const context = { document, secrets, schema: editorSchema(schema, '') };
  const problems = problemsOf(issues, context).filter(({ path }) => !reported.has(path));
  return { ok: false, problems: inFileOrder([...opened.problems, ...problems]) };
}

/**
 * An environment variable is always text. Where the schema expects a number or a boolean and the text is one,
 * it is converted (`port: ${PORT}`). The schema decides, so a password of digits stays text. Null when
 * nothing changes.
 */
function retypeReferences(opened: OpenConfig, issues: readonly z.core.$ZodIssue[]): unknown {
  let value: unknown = null;
  for (const issue of issues) {
    if (issue.code !== 'invalid_type') continue;
    const written = valueAt(opened.document.raw, issue.path);
    const text = valueAt(opened.value, issue.path);
    if (typeof written !== 'string' || !written.includes('${') || typeof text !== 'string') continue;
    const typed = asExpected(text, issue.expected);
    if (typed === undefined) continue;
    value ??= structuredClone(opened.value);
    replaceAt(value, issue.path, typed);
  }
  return value;
}

function asExpected(text: string, expected: string): number | boolean | undefined {
  if (expected === 'boolean') return text === 'true' ? true : text === 'false' ? false : undefined;
  if (expected !== 'number' && expected !== 'int') return undefined;
  return /^-?\d+(\.\d+)?$/.test(text) ? Number(text) : undefined;
}

function replaceAt(tree: unknown, path: Path, value: unknown): void {
  const parent = valueAt(tree, path.slice(0, -1));
  if (typeof parent === 'object' && parent !== null) Reflect.set(parent, path.at(-1) ?? '', value);
}
