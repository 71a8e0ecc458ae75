/**
 * Devices from a file: JSON with a list of `{ name, password?, groups? }`; or CSV whose first line names its
 * columns out of `name`, `password` and `groups` (separated by spaces), with fields quoted by RFC 4180 where
 * needed.
 */
import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { reading } from '../shared/config/start-check.ts';

const rowsSchema = z.array(
  z.strictObject({
    name: z.string().min(1),
    password: z.string().optional(),
    groups: z.array(z.string()).default([]),
  }),
);

type ImportedDevice = z.output<typeof rowsSchema>[number];

const COLUMNS = ['name', 'password', 'groups'] as const;

/**
 * The rows, or the error in the first wrong row; no error quotes a password. Rejects when the file cannot be
 * read.
 */
export async function readImport(file: string): Promise<ImportedDevice[] | string> {
  const text = await reading('import', file, () => readFile(file, 'utf8'));
  const rows = file.endsWith('.json') ? jsonRows(text) : csvRows(text);
  if (typeof rows === 'string') return `${file}: ${rows}`;
  const parsed = rowsSchema.safeParse(rows);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  return `${file}: entry ${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'wrong'}`;
}

function jsonRows(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'string' ? 'not a list' : value;
  } catch {
    return 'not JSON'; // The parser's message would quote the text, and passwords with it.
  }
}

function csvRows(text: string): unknown {
  const [head, ...lines] = text.replace(/^\uFEFF/, '').split(/\r?\n/);
  const columns = fieldsOf(head ?? '') ?? [];
  const unknown = columns.find((column) => !COLUMNS.some((known) => known === column));
  if (unknown !== undefined || !columns.includes('name'))
    return `the first line names the columns: ${COLUMNS.join(', ')}`;
  const rows: unknown[] = [];
  for (const [index, line] of lines.entries()) {
    if (line.trim() === '') continue;
    const fields = fieldsOf(line);
    if (fields?.length !== columns.length) return `line ${index + 2}: expected ${columns.length} fields`;
    const row = new Map(columns.map((column, at) => [column, fields[at] ?? '']));
    const password = row.get('password') ?? '';
    rows.push({
      name: row.get('name'),
      ...(password === '' ? {} : { password }),
      groups: (row.get('groups') ?? '').split(/\s+/).filter((group) => group !== ''),
    });
  }
  return rows;
}

/** The fields of one line; null when a quote is left open. */
function fieldsOf(line: string): string[] | null {
  const fields: string[] = [];
  for (let rest = `${line},`; rest !== ''; ) {
    const match = /^(?:"((?:[^"]|"")*)"|([^",]*)),/.exec(rest);
    if (!match) return null;
    fields.push(match[1] === undefined ? (match[2] ?? '').trim() : match[1].replaceAll('""', '"'));
    rest = rest.slice(match[0].length);
  }
  return fields;
}
