/**
 * `config check --no-secrets`: for a machine, or a person, without the service's environment and files. An
 * unresolvable reference stands for an unknown text, and produces no error.
 */
import { type Path, valueAt } from '../../shared/config/document.ts';
import { pathText } from '../../shared/config/problem.ts';
import type { ReferenceSources } from '../../shared/config/references.ts';

/** A text that no real configuration contains. */
const UNKNOWN = '\u{1f512}headgate-unknown';

/** Configuration files, policies and price sheets are read normally; files of references need not exist. */
const READ_AS_IT_IS = /\.(?:ya?ml|json)$/;

export function withoutSecrets({ env, readFile }: ReferenceSources): ReferenceSources {
  return {
    env: new Proxy(env, {
      get: (known, name) => (typeof name === 'string' && known[name]) || UNKNOWN,
    }),
    readFile: (file) => {
      if (READ_AS_IT_IS.test(file)) return readFile(file);
      try {
        return readFile(file);
      } catch {
        return UNKNOWN; // that is what was asked for
      }
    },
  };
}

/** The paths with an unknown value, in the form of the reports. */
export function unknownPaths(value: unknown, path: Path = []): string[] {
  if (typeof value === 'string') return value.includes(UNKNOWN) ? [pathText(path)] : [];
  if (typeof value !== 'object' || value === null) return [];
  const keys: PropertyKey[] = Array.isArray(value) ? [...value.keys()] : Object.keys(value);
  return keys.flatMap((key) => unknownPaths(valueAt(value, [key]), [...path, key]));
}
