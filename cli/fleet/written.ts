/** The files that people write in a fleet folder: the policy, groups and gateways. */
import { join } from 'node:path';
import { valueAt } from '../../shared/config/document.ts';
import { identifier } from '../../shared/config/kinds.ts';
import { type ConfigProblem, loadConfig, openConfig, systemSources } from '../../shared/config/load.ts';
import { GROUP_OF_ALL, type Member } from '../../shared/fleet/core/acceptance.ts';
import { policySchema } from '../../shared/policy/policy.ts';
import { filesOf, gatewaySchema, groupSchema, nameOf, PLACES } from './folder.ts';
import type { Row } from './row.ts';

export interface Written {
  rows: Row[];
  problems: ConfigProblem[];
  members: Member[];
}

/** Reads all of them; `isAsked` says which files count. */
export async function readWritten(folder: string, isAsked: (file: string) => boolean): Promise<Written> {
  const written: Written = { rows: [], problems: [], members: [] };
  const policyFile = join(folder, PLACES.policy);
  if (isAsked(policyFile)) readPolicy(policyFile, written);
  const groupFiles = await filesOf(join(folder, PLACES.groups), '.yaml');
  const groups = groupFiles.map(nameOf).filter((name) => name !== GROUP_OF_ALL);
  for (const file of groupFiles.filter(isAsked)) readGroup(file, written);
  const schema = gatewaySchema(groups);
  for (const file of await filesOf(join(folder, PLACES.gateways), '.yaml')) {
    const misnamed = nameProblem(file, 'gateway');
    const loaded = loadConfig(file, schema);
    const problems = [...(misnamed ?? []), ...(loaded.ok ? [] : loaded.problems)];
    if (loaded.ok) written.members.push({ gateway: nameOf(file), groups: loaded.config.groups });
    if (!isAsked(file)) continue;
    written.problems.push(...problems);
    const of = loaded.ok && loaded.config.groups.length > 0 ? ` of ${loaded.config.groups.join(', ')}` : '';
    written.rows.push(rowOf(file, `gateway${of}`, problems));
  }
  return written;
}

function readPolicy(file: string, { rows, problems }: Written): void {
  const loaded = loadConfig(file, policySchema);
  const found = loaded.ok ? blankProblem(file) : loaded.problems;
  problems.push(...found);
  const streams = loaded.ok ? Object.keys(loaded.config.streams).length : 0;
  rows.push(
    rowOf(file, loaded.ok ? `policy, ${streams === 1 ? '1 stream' : `${streams} streams`}` : 'policy', found),
  );
}

/** A file without streams is valid, with the default of an agent.yaml, which no fleet means. */
function blankProblem(file: string): ConfigProblem[] {
  const opening = openConfig(file, systemSources);
  if (!opening.ok || valueAt(opening.opened.value, ['streams']) !== undefined) return [];
  const message = 'missing: every gateway would get the default stream in place of its streams';
  return [
    { ...fileProblem(file, message, 'write the streams, also where they are the default'), path: 'streams' },
  ];
}

function readGroup(file: string, { rows, problems }: Written): void {
  const loaded = loadConfig(file, groupSchema);
  const found = [...(nameProblem(file, 'group') ?? []), ...(loaded.ok ? [] : loaded.problems)];
  if (nameOf(file) === GROUP_OF_ALL)
    found.push(
      fileProblem(file, `"${GROUP_OF_ALL}" is the group of every gateway`, 'give the group another name'),
    );
  problems.push(...found);
  rows.push(rowOf(file, 'group', found));
}

function nameProblem(file: string, what: string): ConfigProblem[] | null {
  const { error } = identifier().safeParse(nameOf(file));
  if (!error) return null;
  const message = `the file’s name is that of the ${what}: ${error.issues[0]?.message ?? ''}`;
  return [fileProblem(file, message, 'rename the file')];
}

function fileProblem(file: string, message: string, hint: string): ConfigProblem {
  return { file, path: '', line: null, column: null, message, found: null, hint };
}

function rowOf(file: string, is: string, problems: readonly ConfigProblem[]): Row {
  const verdict =
    problems.length === 0 ? 'ok' : problems.length === 1 ? '1 mistake' : `${problems.length} mistakes`;
  return { file, is, digest: null, signedBy: [], verdict };
}
