/**
 * What `config check` says beyond the schema: files that are valid, and by which nothing would leave, arrive,
 * or start. They are mistakes of a person, not of the program, so a gateway that runs goes on with them (I9).
 */
import { dirname, resolve } from 'node:path';
import type { AgentConfig } from '../../agent/config/config.ts';
import { type ConfigDocument, shownAt, valueAt } from '../../shared/config/document.ts';
import { openConfig } from '../../shared/config/load.ts';
import { type ConfigProblem, pathText } from '../../shared/config/problem.ts';
import type { ReferenceSources } from '../../shared/config/references.ts';
import { agentFindings } from './agent.ts';
import { dataDirFindings, fileFindings } from './files.ts';
import type { ConfigKind, Finding } from './finding.ts';
import { policyFindings } from './policy.ts';
import { feedFolderFindings, routerFindings } from './router.ts';

interface Opened {
  document: ConfigDocument;
  value: unknown;
  secrets: ReadonlySet<string>;
}

interface Checked {
  file: string;
  kind: ConfigKind;
  opened: Opened;
  /** What the file came to; null when it has mistakes that the schema sees. */
  config: unknown;
  sources: ReferenceSources;
  /** Whether the files that are named should be on this machine. */
  secrets: boolean;
}

export function findingsOf({ file, kind, opened, config, sources, secrets }: Checked): ConfigProblem[] {
  const { value } = opened;
  const at = (findings: readonly Finding[]): ConfigProblem[] =>
    findings.map((finding) => toProblem(finding, opened));
  switch (kind) {
    case 'policy':
      return at(policyFindings(value));
    case 'router':
      return at([
        ...routerFindings(value),
        ...dataDirFindings(valueAt(value, ['data_dir']), secrets),
        ...(secrets ? [...fileFindings(value), ...feedFolderFindings(value)] : []),
      ]);
    case 'agent': {
      const policyFile = valueAt(value, ['policy_file']);
      const apart =
        typeof policyFile === 'string' ? openedAt(resolve(dirname(file), policyFile), sources) : null;
      const policy = apart === null ? valueAt(value, ['policy']) : apart.value;
      const own = agentFindings(value, policy, certificationsOf(config));
      const inPolicy = (finding: Finding): boolean => apart !== null && finding.path[0] === 'policy';
      return [
        ...at([
          ...own.filter((finding) => !inPolicy(finding)),
          ...(apart === null ? under('policy', policyFindings(policy)) : []),
          ...dataDirFindings(valueAt(value, ['data_dir']), secrets),
          ...(secrets ? fileFindings(value) : []),
        ]),
        ...(apart === null
          ? []
          : [
              ...own.filter(inPolicy).map((finding) => ({ ...finding, path: finding.path.slice(1) })),
              ...policyFindings(policy),
            ].map((finding) => toProblem(finding, apart))),
      ];
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

/** By provider; null where the configuration did not load. */
function certificationsOf(config: unknown): ReadonlyMap<string, readonly string[]> | null {
  if (!isAgentConfig(config)) return null;
  const held = [...config.tariffs].map(([name, { sheet }]): [string, string[]] => [
    name,
    sheet.certifications.map((one) => one.name),
  ]);
  return new Map(held);
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
