/** `headgate config check`: the errors of a file by the schema of its kind. */
import { loadAgentConfig } from '../agent/config/config.ts';
import { loadRouterConfig } from '../router/config.ts';
import { valueAt } from '../shared/config/document.ts';
import {
  type ConfigProblem,
  type ConfigResult,
  loadConfig,
  openConfig,
  type ReferenceSources,
  systemSources,
} from '../shared/config/load.ts';
import { inFileOrder } from '../shared/config/problem.ts';
import { policySchema } from '../shared/policy/policy.ts';
import type { ConfigKind } from './check/finding.ts';
import { findingsOf } from './check/findings.ts';
import { unknownPaths, withoutSecrets } from './check/without-secrets.ts';

export { formatProblems } from '../shared/config/load.ts';

interface CheckedConfig {
  kind: ConfigKind;
  /** The user gave no kind and the content does not show one: the file was checked as an agent's. */
  isGuess: boolean;
  problems: ConfigProblem[];
  /** Worth knowing, and no mistake. */
  notes: ConfigProblem[];
}

/** Keys of one kind only: the first of them in a file decides its kind. */
const TELLING: ReadonlyArray<readonly [ConfigKind, readonly string[]]> = [
  ['agent', ['gateway', 'providers']],
  ['router', ['sources', 'feeds']],
  ['policy', ['streams']],
  ['agent', ['broker', 'buffer', 'clock', 'downlinks', 'history', 'policy', 'policy_file']],
  ['router', ['conflicts', 'dead_letters', 'ledger', 'retention']],
  ['policy', ['compliance', 'cost', 'failover', 'hedge', 'scoring', 'version']],
];

export interface CheckOptions {
  /** Null: decided by the keys at the top of the file, else `agent`. */
  kind: ConfigKind | null;
  /** False: references may be unresolvable, and files may be on another machine. */
  secrets: boolean;
}

export function checkConfig(file: string, { kind, secrets }: CheckOptions): CheckedConfig {
  const sources = secrets ? systemSources : withoutSecrets(systemSources);
  const opening = openConfig(file, sources);
  if (!opening.ok) return { kind: kind ?? 'agent', isGuess: false, problems: opening.problems, notes: [] };
  const { value } = opening.opened;
  const told = kind ?? kindOf(value);
  // A policy file may be empty: then all defaults apply.
  if (isEmpty(value) && kind !== 'policy')
    return { kind: told ?? 'agent', isGuess: told === null, problems: [emptyFile(file)], notes: [] };
  const known = told ?? 'agent';
  const result = load(file, known, sources);
  const unknown = unknownPaths(value);
  const isUnknown = (path: string): boolean => unknown.some((above) => isAtOrUnder(path, above));
  const problems = (result.ok ? [] : result.problems).filter(
    (problem) => problem.file !== file || !isUnknown(problem.path),
  );
  const config = result.ok ? result.config : null;
  const checked = { file, kind: known, opened: opening.opened, config, sources, secrets };
  const found = findingsOf(checked, isUnknown);
  return {
    kind: known,
    isGuess: told === null,
    problems: inFileOrder([...problems, ...found.problems]),
    notes: inFileOrder(found.notes),
  };
}

function isAtOrUnder(path: string, above: string): boolean {
  return path === above || path.startsWith(`${above}.`) || path.startsWith(`${above}[`);
}

function load(file: string, kind: ConfigKind, sources: ReferenceSources): ConfigResult<unknown> {
  switch (kind) {
    case 'agent':
      return loadAgentConfig(file, sources);
    case 'router':
      return loadRouterConfig(file, sources);
    case 'policy':
      return loadConfig(file, policySchema, sources);
  }
}

/** Null when the keys do not show the kind. */
function kindOf(value: unknown): ConfigKind | null {
  const has = (key: string): boolean => valueAt(value, [key]) !== undefined;
  return TELLING.find(([, keys]) => keys.some(has))?.[0] ?? null;
}

function isEmpty(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Object.keys(value).length === 0;
}

function emptyFile(file: string): ConfigProblem {
  const hint = 'docs/examples has files to begin with; headgate config schema <kind> lists the keys';
  return {
    file,
    path: '',
    line: null,
    column: null,
    message: 'there is nothing in this file',
    found: null,
    hint,
  };
}
