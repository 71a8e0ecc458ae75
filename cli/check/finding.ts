/** An error beyond the schema, and access to values that may be partly wrong. */
import type { Path } from '../../shared/config/document.ts';

export type ConfigKind = 'agent' | 'router' | 'policy';

export interface Finding {
  path: Path;
  message: string;
  hint: string;
  /** Worth knowing, and no mistake of the file. */
  isNote?: boolean;
}

export type Entry = Readonly<Record<string, unknown>>;

/** A mapping; empty for any other value. */
export function mapping(value: unknown): Entry {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : {};
}

/** The mappings of a list, each with its index; empty for any other value. */
export function entries(value: unknown): Array<[index: number, entry: Entry]> {
  return Array.isArray(value) ? value.map((entry, index) => [index, mapping(entry)]) : [];
}

/** The texts of a list. */
export function texts(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((one): one is string => typeof one === 'string') : [];
}

export function text(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}
