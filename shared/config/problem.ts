/** One error in a configuration file, described so that it can be fixed without reading the code. */

export interface ConfigProblem {
  file: string;
  /** `providers[1].credentials.connection_string`; empty for the file as a whole. */
  path: string;
  /** From 1; null where the file has no text. */
  line: number | null;
  column: number | null;
  /** The expectation, or the broken rule. */
  message: string;
  /**
   * The value as written in the file (a reference stays a reference), `[redacted]` for a secret; null when
   * absent.
   */
  found: string | null;
  /** How to fix it. */
  hint: string;
}

/** Quotes keys such as `["#"]` and joins the others by dots: `policy.streams.alarms.topics[0]`. */
export function pathText(path: readonly PropertyKey[]): string {
  let text = '';
  for (const segment of path) {
    if (typeof segment === 'number') text += `[${segment}]`;
    else if (/^[A-Za-z_][\w-]*$/.test(String(segment)))
      text += text === '' ? String(segment) : `.${String(segment)}`;
    else text += `[${JSON.stringify(String(segment))}]`;
  }
  return text;
}

/** All problems as text for a terminal or a journal, in the order of the file, without a final newline. */
export function formatProblems(problems: readonly ConfigProblem[]): string {
  const count = problems.length === 1 ? '1 mistake' : `${problems.length} mistakes`;
  const files = [...new Set(problems.map((problem) => problem.file))].join(', ');
  return [`${files}: ${count}`, ...problems.map(formatProblem)].join('\n');
}

function formatProblem(problem: ConfigProblem): string {
  const place =
    problem.line === null ? problem.file : `${problem.file}:${problem.line}:${problem.column ?? 1}`;
  const found = problem.found === null ? '' : `; found ${problem.found}`;
  const head = problem.path === '' ? place : `${place}  ${problem.path}`;
  return `  ${head}\n    ${problem.message}${found}\n    fix: ${problem.hint}`;
}

/** In the order of the file; problems without a place come first. */
export function inFileOrder(problems: readonly ConfigProblem[]): ConfigProblem[] {
  const at = (problem: ConfigProblem): number => (problem.line ?? 0) * 100_000 + (problem.column ?? 0);
  return [...problems].sort((a, b) => at(a) - at(b));
}
