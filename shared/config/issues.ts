/** Turns zod's issues into reports for a person at a terminal: place, value, expectation, fix. */
import type { z } from 'zod';
import { type ConfigDocument, type Path, PROBLEMS_MAX, shownAt, valueAt } from './document.ts';
import { type JsonSchema, knownKeys, schemasAt } from './json-schema.ts';
import { nearest } from './nearest.ts';
import { type ConfigProblem, pathText } from './problem.ts';
import { scrub } from './redact.ts';

type Issue = z.core.$ZodIssue;

interface IssueContext {
  document: ConfigDocument;
  schema: JsonSchema;
  secrets: ReadonlySet<string>;
}

const SEE_DOCS = 'correct it; see docs/reference/configuration.md';

/** One problem per issue, one per unknown key, and for a union those of the nearest alternative. */
export function problemsOf(issues: readonly Issue[], context: IssueContext): ConfigProblem[] {
  const counted = issues.flatMap(flatten).slice(0, PROBLEMS_MAX);
  return counted.flatMap((issue) => {
    if (issue.code === 'unrecognized_keys') {
      return issue.keys.slice(0, PROBLEMS_MAX).map((key) => unknownKey([...issue.path, key], context));
    }
    const known = valueAt(context.document.raw, issue.path);
    const [message, hint] = known === undefined ? missing(issue, context) : wrong(issue, known, context);
    return [problemAt(issue.path, message, hint, context)];
  });
}

/** A problem at `path`, without secrets. */
function problemAt(path: Path, message: string, hint: string, context: IssueContext): ConfigProblem {
  const { document, secrets } = context;
  return {
    file: document.file,
    path: pathText(path),
    ...document.locate(path),
    message: scrub(message, secrets),
    found: shownAt(document, path, secrets),
    hint: scrub(hint, secrets),
  };
}

/**
 * A union's issue holds the issues of every alternative: keeps those of the alternative nearest to the value.
 */
function flatten(issue: Issue): Issue[] {
  if (issue.code !== 'invalid_union' || issue.errors.length === 0) return [issue];
  const byDistance = issue.errors
    .map((errors) => errors.flatMap(flatten))
    .sort((a, b) => distance(a) - distance(b));
  const nearestErrors = byDistance[0] ?? [];
  return nearestErrors.map((inner) => ({ ...inner, path: [...issue.path, ...inner.path] }));
}

function distance(issues: readonly Issue[]): number {
  const wrongKind = issues.some((issue) => issue.code === 'invalid_type' && issue.path.length === 0);
  return issues.length + (wrongKind ? 1000 : 0);
}

function unknownKey(path: Path, context: IssueContext): ConfigProblem {
  const { document, schema } = context;
  const key = String(path.at(-1));
  const parent = path.slice(0, -1);
  const known = knownKeys(schema, parent, document.raw);
  const taken = Object.keys(Object(valueAt(document.raw, parent)));
  const free = known.filter((candidate) => !taken.includes(candidate));
  const guess = nearest(key, free) ?? nearest(key, known);
  const hint = guess === null ? `remove it; known here: ${known.join(', ')}` : `did you mean "${guess}"?`;
  return { ...problemAt(path, 'unknown key', hint, context), ...document.locate(path, true), found: null };
}

function missing(issue: Issue, context: IssueContext): [string, string] {
  const key = String(issue.path.at(-1) ?? '');
  const description = describe(issue.path, context);
  const expectation = issue.code === 'custom' ? issue.message : `missing; ${expectationOf(issue)}`;
  if (issue.code === 'custom') return [expectation, customHint(issue) ?? description ?? SEE_DOCS];
  return [expectation, description === null ? `add "${key}"` : `add "${key}": ${description}`];
}

function wrong(issue: Issue, value: unknown, context: IssueContext): [string, string] {
  const description = describe(issue.path, context);
  const hint =
    customHint(issue) ??
    unitHint(issue.path, value, context) ??
    guessOf(issue, value) ??
    defaultHint(issue.path, context) ??
    (description === null ? SEE_DOCS : `correct it. ${description}`);
  return [expectationOf(issue), hint];
}

function customHint(issue: Issue): string | null {
  const hint: unknown = issue.code === 'custom' ? issue.params?.['hint'] : undefined;
  return typeof hint === 'string' ? hint : null;
}

/** The hint for a duration or a size without its unit. */
function unitHint(path: Path, value: unknown, context: IssueContext): string | null {
  if (!/^\d+(\.\d+)?$/.test(String(value))) return null;
  const [schema] = schemasAt(context.schema, path, context.document.raw);
  const fallback = /[a-zA-Z]+$/.exec(String(schema?.default ?? ''))?.[0];
  if (schema?.pattern?.includes('ms|s|m') === true)
    return `write ${String(value)}${fallback ?? 's'}, with its unit: ms, s, m, h or d`;
  if (schema?.pattern?.includes('KiB') === true)
    return `write ${String(value)}B, with its unit: B, KB, KiB, MB, MiB, GB or GiB`;
  return null;
}

function guessOf(issue: Issue, value: unknown): string | null {
  if (issue.code !== 'invalid_value' && issue.code !== 'invalid_union') return null;
  const guess = nearest(String(value), choicesOf(issue));
  return guess === null ? null : `did you mean "${guess}"?`;
}

function choicesOf(issue: Issue): string[] {
  if (issue.code === 'invalid_value') return issue.values.map(String);
  if (issue.code === 'invalid_union' && 'options' in issue) return (issue.options ?? []).map(String);
  return [];
}

function defaultHint(path: Path, context: IssueContext): string | null {
  const fallback = schemasAt(context.schema, path, context.document.raw).find(
    (schema) => 'default' in schema,
  )?.default;
  if (typeof fallback !== 'string' && typeof fallback !== 'number' && typeof fallback !== 'boolean')
    return null;
  return `correct it, or leave it out for the default, ${fallback}`;
}

function describe(path: Path, context: IssueContext): string | null {
  const described = schemasAt(context.schema, path, context.document.raw).find(
    (schema) => schema.description,
  );
  return described?.description ?? null;
}

const TYPE_WORDS: Readonly<Record<string, string>> = {
  string: 'a text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'a mapping',
  record: 'a mapping',
};

function expectationOf(issue: Issue): string {
  switch (issue.code) {
    case 'invalid_type':
      return `expected ${TYPE_WORDS[issue.expected] ?? issue.expected}`;
    case 'too_small':
      return `expected ${sizeWords(issue.origin, issue.inclusive === false ? 'more than' : 'at least', issue.minimum)}`;
    case 'too_big':
      return `expected ${sizeWords(issue.origin, issue.inclusive === false ? 'less than' : 'at most', issue.maximum)}`;
    case 'invalid_value':
    case 'invalid_union': {
      const choices = choicesOf(issue);
      if (choices.length === 0) return issue.message;
      return choices.length === 1 ? `expected ${choices[0]}` : `expected one of ${choices.join(', ')}`;
    }
    case 'invalid_format':
      return issue.message.startsWith('Invalid ') ? `expected a valid ${issue.format}` : issue.message;
    case 'invalid_key':
      return `a key is not allowed here: ${issue.issues.map((inner) => inner.message).join('; ')}`;
    case 'unrecognized_keys':
    case 'invalid_element':
    case 'not_multiple_of':
    case 'custom':
      return issue.message;
  }
}

function sizeWords(origin: string, bound: string, limit: number | bigint): string {
  switch (origin) {
    case 'string':
      return limit === 1 && bound === 'at least'
        ? 'a text that is not empty'
        : `${bound} ${limit} characters`;
    case 'array':
    case 'set':
      return `a list of ${bound} ${limit}`;
    default:
      return `${bound} ${limit}`;
  }
}
