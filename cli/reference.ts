/**
 * The option tables of docs/reference/agent-yaml.md, router-yaml.md and policy.md: one row per option, with
 * its type, unit, default, and first version. Types, defaults and descriptions come from the zod schemas,
 * units from the list below, versions from docs/schema/since.json.
 */
import type { JsonSchema } from '../shared/config/json-schema.ts';
import type { ConfigKind } from './check/finding.ts';
import { jsonSchemaOf } from './schemas.ts';

/** Versions by option, for each kind of file; new options get the version `next`. */
export interface Since {
  next: string;
  options: Readonly<Record<ConfigKind, Readonly<Record<string, string>>>>;
}

interface Row {
  /** The path in the table: `providers[].region`. */
  path: string;
  /** The path with the type of an entry: `providers[](aws).region`. */
  key: string;
  type: string;
  fallback: string;
  description: string;
}

/** The first options of a list's entry. */
const FIRST = ['type', 'name', 'enabled', 'priority'];

/** The unit of each numeric option, by the last part of its path. */
const UNITS: Readonly<Record<string, string>> = {
  account_share: 'share of 1',
  alert_threshold: 'share of 1',
  backlog_share: 'share of 1',
  batch_records: 'records',
  budget: 'USD a month',
  burst: 'envelopes',
  compliance: 'share of 1',
  conflicts: 'versions',
  connections_max: 'connections',
  cost: 'share of 1',
  dead_letters: 'letters',
  envelope_bytes: 'bytes',
  failures_to_open: 'failures',
  envelopes_per_second: 'envelopes a second',
  hub_units: 'units',
  margin: 'score',
  max_connect_rate: 'connections/s',
  max_connect_rate_per_device: 'logins/s',
  max_connections_per_address: 'connections',
  max_connections_per_device: 'connections',
  max_packet_rate: 'packets/s',
  max_pending_per_address: 'connections',
  max_retained_messages_per_device: 'messages',
  max_sessions_per_device: 'sessions',
  max_connect_rate_per_address: 'connections/s',
  max_connections: 'connections',
  max_expansion: 'times',
  max_publish_rate: 'publishes/s',
  max_queued_messages: 'messages',
  max_records: 'records',
  new_streams_per_day: 'streams a day',
  max_retained_messages: 'messages',
  max_sessions: 'sessions',
  max_subscriptions: 'subscriptions',
  max_topic_levels: 'levels',
  max_unverified_jump: 'ids',
  performance: 'share of 1',
  port: 'TCP port',
  priority: 'rank',
  probe_budget: 'USD a month',
  probes_to_close: 'probes',
  quarantine_after: 'refusals',
  ranges_per_stream: 'ranges',
  records_max: 'records',
  redundancy: 'providers',
  reliability: 'share of 1',
  replicas: 'servers',
  share: 'share of 1',
  version: 'number',
};

/** The options of a kind of file, in the order of the page. The policy in agent.yaml has its own page. */
function optionKeys(kind: ConfigKind): string[] {
  return rowsOf(kind).map(({ key }) => key);
}

/** `since` with new options under its next version, and without removed options. */
export function withNewOptions(since: Since): Since {
  const kinds: readonly ConfigKind[] = ['agent', 'router', 'policy'];
  const options = kinds.map((kind) => {
    const known = since.options[kind];
    const sorted = optionKeys(kind).toSorted((a, b) => (a < b ? -1 : 1));
    return [kind, Object.fromEntries(sorted.map((key) => [key, known[key] ?? since.next]))];
  });
  return { next: since.next, options: Object.fromEntries(options) };
}

/** `markdown` with new tables between its markers. */
export function withOptionTables(markdown: string, kind: ConfigKind, since: Since): string {
  const versions = since.options[kind];
  const between = /(<!-- options -->\n).*(<!-- end -->)/s;
  return markdown.replace(
    between,
    (_, start: string, end: string) => `${start}\n${tables(rowsOf(kind), versions)}\n\n${end}`,
  );
}

/** The empty cells of the tables, as `option: cell`; there must be none. Only numbers need a unit. */
export function emptyCells(kind: ConfigKind, since: Since): string[] {
  return rowsOf(kind).flatMap(({ key, path, type, fallback, description }) => {
    const cells = {
      type,
      unit: isNumber(type) ? unitOf(type, path) : 'none',
      default: fallback,
      since: since.options[kind][key] ?? '',
      description,
    };
    return Object.entries(cells).flatMap(([name, text]) => (text === '' ? [`${key}: ${name}`] : []));
  });
}

function rowsOf(kind: ConfigKind): Row[] {
  const rows = fieldRows(jsonSchemaOf(kind), '', '');
  return kind === 'agent' ? rows.filter(({ key }) => !key.startsWith('policy.')) : rows;
}

function tables(rows: readonly Row[], versions: Readonly<Record<string, string>>): string {
  const sections = Map.groupBy(rows, ({ key }) => sectionOf(key, rows));
  return [...sections]
    .map(([title, own]) => {
      const lines = own.map(
        ({ path, key, type, fallback, description }) =>
          `| \`${path}\` | ${type} | ${unitOf(type, path)} | ${fallback} | ${versions[key] ?? ''} | ${description} |`,
      );
      const head = ['| option | type | unit | default | since | |', '|---|---|---|---|---|---|'];
      return [`## ${title}`, '', ...head, ...lines].join('\n');
    })
    .join('\n\n');
}

/** `providers[] of type aws`, `broker`, or `general` for a top-level option. */
function sectionOf(key: string, rows: readonly Row[]): string {
  const typed = /^([^(]+)\((\w+)\)/.exec(key);
  if (typed !== null) return `${typed[1]} of type ${typed[2]}`;
  const top = /^\w+/.exec(key)?.[0] ?? key;
  const isAlone = rows.every((other) => other.key === top || !new RegExp(`^${top}\\b`).test(other.key));
  return isAlone ? 'general' : top;
}

/**
 * One row per field of a mapping, followed by the rows of its content. `form`: the alternative that the
 * mapping belongs to, if any.
 */
function fieldRows(schema: JsonSchema, path: string, key: string, form: string | null = null): Row[] {
  const required = new Set(schema.required ?? []);
  const rank = (name: string): number => (FIRST.includes(name) ? FIRST.indexOf(name) : FIRST.length);
  const fields = Object.entries(schema.properties ?? {}).sort(([a], [b]) => rank(a) - rank(b));
  return fields.flatMap(([name, field]) => {
    if (typeof field !== 'object') return [];
    const own = {
      path: `${path}${name}`,
      key: `${key}${name}`,
      type: typeText(field),
      fallback: required.has(name) ? (form ?? '**required**') : defaultText(field.default),
      description: cell(field.description ?? ''),
    };
    return [own, ...innerRows(field, own.path, own.key)];
  });
}

function innerRows(field: JsonSchema, path: string, key: string, form: string | null = null): Row[] {
  if (field.properties !== undefined) return fieldRows(field, `${path}.`, `${key}.`, form);
  const rest = field.additionalProperties;
  if (typeof rest === 'object' && (rest.properties ?? rest.oneOf ?? rest.anyOf) !== undefined)
    return innerRows(rest, `${path}.<name>`, `${key}.<name>`);
  if (typeof field.items === 'object' && !Array.isArray(field.items))
    return innerRows(field.items, `${path}[]`, `${key}[]`);
  return (field.oneOf ?? field.anyOf ?? []).flatMap((option, index) => {
    const type = option.properties?.['type'];
    const kind = typeof type === 'object' && type.const !== undefined ? String(type.const) : null;
    return kind === null
      ? innerRows(option, path, key, `form ${index + 1}`)
      : innerRows(option, path, `${key}(${kind})`);
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
      if (field.type !== undefined) return String(field.type);
      return (field.oneOf ?? field.anyOf) === undefined ? '' : 'one of';
  }
}

function isNumber(type: string): boolean {
  return type.startsWith('integer') || type.startsWith('number');
}

function unitOf(type: string, path: string): string {
  if (type === 'duration') return 'ms, s, m, h, d';
  if (type === 'size') return 'B to GiB';
  return isNumber(type) ? (UNITS[/\w+$/.exec(path)?.[0] ?? ''] ?? '') : '';
}

function rangeText({ minimum, maximum, exclusiveMinimum }: JsonSchema): string {
  const low = minimum ?? exclusiveMinimum;
  const high = maximum === undefined || maximum === Number.MAX_SAFE_INTEGER ? undefined : maximum;
  if (low === undefined && high === undefined) return '';
  return ` ${low ?? ''}–${high ?? ''}`;
}

function defaultText(value: unknown): string {
  if (value === undefined) return 'none';
  return `\`${cell(typeof value === 'object' ? JSON.stringify(value) : String(value))}\``;
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('<', '&lt;').replaceAll('\n', ' ');
}
