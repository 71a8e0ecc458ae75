/** `headgate audit`. */
import type { ChainProblem, ChainReport, Facts } from '../../shared/audit/audit-log.ts';
import type { ListedChange } from '../audit-changes.ts';
import { line, table } from '../format.ts';

export function renderChanges(changes: readonly ListedChange[]): string {
  if (changes.length === 0) return 'no changes';
  const rows = changes.map(({ seq, at, who, action, target, result, detail }) => [
    ...[String(seq), at.slice(0, 19).replace('T', ' '), action, target ?? '–', result],
    ...[whoText(who), factsText(detail)],
  ]);
  return table(['ENTRY', 'AT (UTC)', 'ACTION', 'TARGET', 'RESULT', 'WHO', 'DETAIL'], rows);
}

interface Result {
  isWhole: boolean;
  logs: readonly ChainReport[];
  problems: readonly ChainProblem[];
  comparedWith: string | null;
}

export function renderReport({ isWhole, logs, problems, comparedWith }: Result): string {
  const states = logs.flatMap(({ log, first, last, entries, notes }) => [
    log === null ? 'no entries' : `log ${log}: ${entries} entries, ${first} to ${last}`,
    ...notes.map((note) => `  ${note}`),
  ]);
  const found = problems.map(({ seq, problem }) => `${seq === null ? '' : `entry ${seq}: `}${problem}`);
  const compared = comparedWith === null ? '' : `, and agrees with ${comparedWith}`;
  const verdict = isWhole ? `whole${compared}` : `NOT whole: ${found.length} problems`;
  return [...(states.length === 0 ? ['no entries'] : states), ...found, verdict].map(line).join('\n');
}

/** `ann (uid 1000)`, `root for ann`, `127.0.0.1, uid 0, says ann`. */
function whoText({ via, user, uid, sudo, address, says, login }: Partial<Facts>): string {
  const parts = [user ?? address ?? via, uid === undefined ? '' : `uid ${uid}`];
  if (sudo !== undefined) parts.push(`sudo of ${sudo}`);
  if (login !== undefined && login !== uid) parts.push(`login of uid ${login}`);
  if (says !== undefined) parts.push(`says ${says}`);
  return parts.filter((part) => part !== '' && part !== undefined).join(', ');
}

function factsText(facts: Facts): string {
  const shown = Object.entries(facts).filter(([, value]) => value !== '' && value !== false);
  return shown.map(([name, value]) => `${name}=${value}`).join(' ');
}
