/**
 * Checks of `config check` beyond the schema: valid files with which no record would leave or arrive, or the
 * program would not start. They are a person's errors, not the program's, so a running gateway goes on with
 * them (I9).
 */
import { dirname, resolve } from 'node:path';
import type { AgentConfig } from '../../agent/config/config.ts';
import { type ConfigDocument, shownAt, valueAt } from '../../shared/config/document.ts';
import { openConfig } from '../../shared/config/load.ts';
import { type ConfigProblem, pathText } from '../../shared/config/problem.ts';
import type { ReferenceSources } from '../../shared/config/references.ts';
import { agentFindings, operatorsRegions } from './agent.ts';
import { environmentFindings } from './environment.ts';
import { dataDirFindings, fileFindings } from './files.ts';
import type { ConfigKind, Finding } from './finding.ts';
import { policyFindings } from './policy.ts';
import { feedFolderFindings, routerFindings, sourceFileFindings } from './router.ts';

interface Opened {
  document: ConfigDocument;
  value: unknown;
  secrets: ReadonlySet<string>;
}

interface Checked {
  file: string;
  kind: ConfigKind;
  opened: Opened;
  /** The parsed configuration; null when the schema finds errors. */
  config: unknown;
  sources: ReferenceSources;
  /** Whether the named files should exist on this machine. */
  secrets: boolean;
}

export interface Found {
  problems: ConfigProblem[];
  /** Notes: not errors. */
  notes: ConfigProblem[];
}

/** `isUnknown`: whether the value at this path, or a parent, is unknown; it gets no finding. */
export function findingsOf(checked: Checked, isUnknown: (path: string) => boolean): Found {
  const found: Found = { problems: [], notes: [] };
  for (const [finding, opened] of located(checked)) {
    if (opened === checked.opened && isUnknown(pathText(finding.path))) continue;
    (finding.isNote ? found.notes : found.problems).push(toProblem(finding, opened));
  }
  return found;
}

/** Each finding with its file. */
function located({ file, kind, opened, config, sources, secrets }: Checked): Array<[Finding, Opened]> {
  const { value } = opened;
  const here = (findings: readonly Finding[]): Array<[Finding, Opened]> =>
    findings.map((finding) => [finding, opened]);
  switch (kind) {
    case 'policy':
      return here(policyFindings(value));
    case 'router':
      return here([
        ...routerFindings(value),
        ...dataDirFindings(valueAt(value, ['data_dir']), secrets),
        ...(secrets
          ? [
              ...fileFindings(value),
              ...sourceFileFindings(value),
              ...feedFolderFindings(value),
              ...environmentFindings(value, sources.env),
            ]
          : []),
      ]);
    case 'agent': {
      const policyFile = valueAt(value, ['policy_file']);
      const apart =
        typeof policyFile === 'string' ? openedAt(resolve(dirname(file), policyFile), sources) : null;
      const policy = apart === null ? valueAt(value, ['policy']) : apart.value;
      const agentConfig = isAgentConfig(config) ? config : null;
      return [
        ...here([
          ...agentFindings({ value, policy, config: agentConfig, secrets }),
          ...dataDirFindings(valueAt(value, ['data_dir']), secrets),
          ...(secrets ? [...fileFindings(value), ...environmentFindings(value, sources.env)] : []),
        ]),
        ...here(under('policy', policyFindings(policy, operatorsRegions(value)))),
      ].map(([finding]) =>
        apart !== null && finding.path[0] === 'policy'
          ? [{ ...finding, path: finding.path.slice(1) }, apart]
          : [finding, opened],
      );
    }
  }
}

function openedAt(file: string, sources: ReferenceSources): Opened | null {
  const opening = openConfig(file, sources);
  return opening.ok ? opening.opened : null;
}

function under(key: string, findings: readonly Finding[]): Finding[] {
  return findings.map((finding) => ({ ...finding, path: [key, ...finding.path] }));
}

function isAgentConfig(config: unknown): config is AgentConfig {
  return typeof config === 'object' && config !== null && 'tariffs' in config;
}

function toProblem({ path, message, hint }: Finding, { document, secrets }: Opened): ConfigProblem {
  return {
    file: document.file,
    path: pathText(path),
    ...document.locate(path),
    message,
    found: shownAt(document, path, secrets),
    hint,
  };
}
