/**
 * A provider's properties of a message, as text for the dead letters; number and length are bounded (I10).
 */
import { types } from 'node:util';

const PROPERTIES_MAX = 50;
const CHARACTERS_MAX = 500;

/** The fields that have a text form. A provider's fields may have any type and size. */
export function providerProperties(fields: Readonly<Record<string, unknown>>): Record<string, string> {
  const told: [string, string][] = [];
  for (const [name, value] of Object.entries(fields)) {
    const text = textOf(value);
    if (text === null) continue;
    told.push([name.slice(0, CHARACTERS_MAX), text.slice(0, CHARACTERS_MAX)]);
    if (told.length === PROPERTIES_MAX) break;
  }
  return Object.fromEntries(told);
}

function textOf(value: unknown): string | null {
  if (typeof value === 'string') return value;
  if (typeof value === 'number' || typeof value === 'boolean' || typeof value === 'bigint')
    return String(value);
  return types.isDate(value) && !Number.isNaN(value.getTime()) ? value.toISOString() : null;
}
