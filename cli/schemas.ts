/**
 * The JSON Schemas for editors, and the field table of docs/reference/configuration.md: both made from the
 * zod schemas.
 */
import type { z } from 'zod';
import { agentConfigSchema } from '../agent/config/config.ts';
import { routerConfigSchema } from '../router/config.ts';
import { editorSchema, type JsonSchema } from '../shared/config/json-schema.ts';
import { policySchema } from '../shared/policy/policy.ts';
import type { ConfigKind } from './check-config.ts';

const SCHEMAS: Readonly<Record<ConfigKind, { schema: z.ZodType; title: string }>> = {
  agent: { schema: agentConfigSchema, title: 'Headgate agent configuration (agent.yaml)' },
  router: { schema: routerConfigSchema, title: 'Headgate router configuration (router.yaml)' },
  policy: { schema: policySchema, title: 'Headgate routing policy' },
};

/** The schema as a file holds it. */
export function schemaText(kind: ConfigKind): string {
  return `${JSON.stringify(jsonSchemaOf(kind), null, 2)}\n`;
}

/** docs/reference/configuration.md with what stands between its markers made anew. */
export function withFieldTables(markdown: string): string {
  const tables = {
    agent: fieldTable('agent', 'policy'),
    router: fieldTable('router'),
    policy: fieldTable('policy'),
  };
  return Object.entries(tables).reduce((text, [kind, table]) => {
    const between = new RegExp(`(<!-- fields: ${kind} -->\n)[^]*?(<!-- end -->)`);
    return text.replace(between, (_, start: string, end: string) => `${start}\n${table}\n\n${end}`);
  }, markdown);
}

/**
 * A Markdown table of every field. With `except`, without the fields under that one, which has a table of its
 * own.
 */
function fieldTable(kind: ConfigKind, except?: string): string {
  const rows = fieldRows(jsonSchemaOf(kind), '').filter(
    ({ path }) => except === undefined || !path.startsWith(`${except}.`),
  );
  const lines = rows.map(
    ({ path, type, fallback, description }) => `| \`${path}\` | ${type} | ${fallback} | ${description} |`,
  );
  return ['| field | value | default | |', '|---|---|---|---|', ...lines].join('\n');
}

function jsonSchemaOf(kind: ConfigKind): JsonSchema {
  const { schema, title } = SCHEMAS[kind];
  return editorSchema(schema, title);
}

interface FieldRow {
  path: string;
  type: string;
  fallback: string;
  description: string;
}

/** What every entry of a list has comes first in its rows. */
const FIRST = ['type', 'name', 'enabled', 'priority'];

/**
 * One row for each field of a mapping, then the rows of what is inside it. `form`: of which alternative it
 * is, if of any.
 */
function fieldRows(schema: JsonSchema, prefix: string, form: string | null = null): FieldRow[] {
  const required = new Set(schema.required ?? []);
  const rank = (name: string): number => (FIRST.includes(name) ? FIRST.indexOf(name) : FIRST.length);
  const fields = Object.entries(schema.properties ?? {}).sort(([a], [b]) => rank(a) - rank(b));
  return fields.flatMap(([name, field]) => {
    if (typeof field !== 'object') return [];
    const path = `${prefix}${name}`;
    const fallback = required.has(name) ? (form ?? '**required**') : defaultText(field.default);
    const row = { path, type: typeText(field), fallback, description: cell(field.description ?? '') };
    return [row, ...innerRows(field, path)];
  });
}

function innerRows(field: JsonSchema, path: string, form: string | null = null): FieldRow[] {
  if (field.properties !== undefined) return fieldRows(field, `${path}.`, form);
  const rest = field.additionalProperties;
  if (typeof rest === 'object' && (rest.properties ?? rest.oneOf ?? rest.anyOf) !== undefined) {
    return innerRows(rest, `${path}.<name>`);
  }
  if (typeof field.items === 'object' && !Array.isArray(field.items))
    return innerRows(field.items, `${path}[]`);
  return (field.oneOf ?? field.anyOf ?? []).flatMap((option, index) => {
    const type = option.properties?.['type'];
    const kind = typeof type === 'object' && type.const !== undefined ? String(type.const) : null;
    return kind === null
      ? innerRows(option, path, `form ${index + 1}`)
      : innerRows(option, `${path}(${kind})`);
  });
}

function typeText(field: JsonSchema): string {
  if (field.enum !== undefined) return field.enum.map((value) => `\`${String(value)}\``).join(', ');
  if (field.const !== undefined) return `\`${String(field.const)}\``;
  if (field.pattern?.includes('ms|s|m') === true) return 'duration';
  if (field.pattern?.includes('KiB') === true) return 'size';
  switch (field.type) {
    case 'string':
      return 'text';
    case 'array':
      return 'list';
    case 'object':
      return 'mapping';
    case 'integer':
    case 'number':
      return field.type + rangeText(field);
    default:
      return field.type === undefined ? 'one of' : String(field.type);
  }
}

function rangeText({ minimum, maximum, exclusiveMinimum }: JsonSchema): string {
  const low = minimum ?? exclusiveMinimum;
  const high = maximum === undefined || maximum === Number.MAX_SAFE_INTEGER ? undefined : maximum;
  if (low === undefined && high === undefined) return '';
  return ` ${low ?? ''}–${high ?? ''}`;
}

function defaultText(value: unknown): string {
  if (value === undefined || (typeof value === 'object' && value !== null && Object.keys(value).length === 0))
    return '';
  return typeof value === 'object' ? 'see the schema' : `\`${String(value)}\``;
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('<', '&lt;').replaceAll('\n', ' ');
}
