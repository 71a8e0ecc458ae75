/** `headgate config check`: the mistakes of a file, held against the schema of what it is. */
import { loadAgentConfig } from '../agent/config.ts';
import { loadRouterConfig } from '../router/config.ts';
import { valueAt } from '../shared/config/document.ts';
import {
  type ConfigProblem,
  type ConfigResult,
  loadConfig,
  openConfig,
  systemSources,
} from '../shared/config/load.ts';
import { policySchema } from '../shared/policy.ts';

export { formatProblems } from '../shared/config/load.ts';

export type ConfigKind = 'agent' | 'router' | 'policy';

interface CheckedConfig {
  kind: ConfigKind;
  problems: ConfigProblem[];
}

/** `kind` null: told by the keys at the top of the file, an agent's when they tell nothing. */
export function checkConfig(file: string, kind: ConfigKind | null): CheckedConfig {
  const known = kind ?? kindOf(file);
  const result = load(file, known);
  return { kind: known, problems: result.ok ? [] : result.problems };
}

function load(file: string, kind: ConfigKind): ConfigResult<unknown> {
  switch (kind) {
    case 'agent':
      return loadAgentConfig(file);
    case 'router':
      return loadRouterConfig(file);
    case 'policy':
      return loadConfig(file, policySchema);
  }
}

function kindOf(file: string): ConfigKind {
  const opening = openConfig(file, systemSources);
  const has = (key: string): boolean => opening.ok && valueAt(opening.opened.value, [key]) !== undefined;
  if (has('gateway') || has('providers')) return 'agent';
  if (has('sources') || has('feeds')) return 'router';
  return has('streams') ? 'policy' : 'agent';
}
