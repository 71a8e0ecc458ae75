/**
 * `${ENV}` and `file:/path` references, resolved before validation, so that a configuration file need not
 * hold a secret.
 *
 * - `${NAME}` inside any text becomes the environment variable NAME; `$${` is a literal `${`.
 * - A text that consists of `file:` and an absolute path becomes the content of that file without its last
 * newline. `${NAME}` in the path is resolved first (`file:${CREDENTIALS_DIRECTORY}/azure` with systemd); the
 * file's content is not resolved.
 *
 * Every resolved text counts as a secret in reports.
 */
import type { ConfigDocument, Path } from './document.ts';
import { type ConfigProblem, pathText } from './problem.ts';
import { isSecretPath } from './redact.ts';

type Environment = Readonly<Record<string, string | undefined>>;

export interface ReferenceSources {
  env: Environment;
  /** The whole text of a file; throws when it cannot be read. */
  readFile(file: string): string;
}

interface Resolved {
  value: unknown;
  /** Texts that reports must not show. */
  secrets: Set<string>;
  problems: ConfigProblem[];
}

/** Characters that all references of a file may bring: more than any list of certificates. */
const RESOLVED_MAX = 8 * 2 ** 20;
const REFERENCE = /\$\$\{|\$\{([^}]*)\}/g;
const VARIABLE_NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;

/**
 * The document's value with every reference replaced; an unresolvable reference becomes a problem and stays
 * unchanged. Values that are not needed stay as they are written; nothing is read for them.
 */
export function resolveReferences(
  document: ConfigDocument,
  sources: ReferenceSources,
  isNeeded: (path: Path) => boolean = () => true,
): Resolved {
  const secrets = new Set<string>();
  const problems: ConfigProblem[] = [];
  let resolved = 0;

  const problem = (path: Path, message: string, hint: string): void => {
    const place = document.locate(path);
    problems.push({ file: document.file, path: pathText(path), ...place, message, found: null, hint });
  };

  /** Whether the text fits; the first that does not is a problem. */
  const fits = (found: string, path: Path): boolean => {
    const before = resolved;
    resolved += found.length;
    if (before <= RESOLVED_MAX && resolved > RESOLVED_MAX) {
      const message = 'the references of this file bring more than 8 MiB';
      problem(path, message, 'refer to smaller files, or to fewer');
    }
    return resolved <= RESOLVED_MAX;
  };

  const resolveText = (text: string, path: Path): string => {
    const expanded = text.replace(REFERENCE, (whole: string, name: string | undefined) => {
      if (name === undefined) return '${';
      if (!VARIABLE_NAME.test(name)) {
        problem(
          path,
          'expected the name of an environment variable in the braces',
          'write $${ for a literal ${',
        );
        return whole;
      }
      const found = sources.env[name];
      if (found === undefined || found === '') {
        const what = found === undefined ? 'is not set' : 'is empty';
        problem(
          path,
          `the environment variable ${name} ${what}`,
          `set ${name} where headgate starts, or write the value here`,
        );
        return whole;
      }
      secrets.add(found);
      return fits(found, path) ? found : whole;
    });
    if (!/^file:(\/|\$\{)/.test(text) || !expanded.startsWith('file:/')) return expanded;
    const file = expanded.slice('file:'.length);
    try {
      const content = sources.readFile(file).replace(/\r?\n$/, '');
      secrets.add(content);
      return fits(content, path) ? content : text;
    } catch (error) {
      problem(
        path,
        `the file of this reference cannot be read: ${file} (${errorCode(error)})`,
        'check the path, and that this user may read it',
      );
      return text;
    }
  };

  const walk = (value: unknown, path: Path): unknown => {
    if (typeof value === 'string') {
      if (isSecretPath(path) && !value.includes('${') && !value.startsWith('file:/')) secrets.add(value);
      return isNeeded(path) ? resolveText(value, path) : value;
    }
    if (Array.isArray(value)) return value.map((child, index) => walk(child, [...path, index]));
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(
      Object.entries(value).map(([key, child]) => [key, walk(child, [...path, key])]),
    );
  };

  return { value: walk(document.raw, []), secrets, problems };
}

/** `ENOENT`, `EACCES` and so on, or the name of the error. */
export function errorCode(error: unknown): string {
  if (error instanceof Error)
    return 'code' in error && typeof error.code === 'string' ? error.code : error.name;
  return 'unknown error';
}
