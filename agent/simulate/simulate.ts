/** `headgate simulate`: replays the recorded past under several policies for comparison. */

import type { SimulationReport } from '../../shared/admin-api/simulation.ts';
import { isoTime } from '../../shared/clock.ts';
import { type ConfigProblem, loadConfig } from '../../shared/config/load.ts';
import { type Policy, policySchema } from '../../shared/policy/policy.ts';
import { policyIssues } from '../../shared/policy/policy-check.ts';
import { type Recording, readRecording, type Span } from './recording.ts';
import { replay } from './replay.ts';

export type SimulationResult =
  | { kind: 'done'; report: SimulationReport }
  /** The history is unusable. */
  | { kind: 'failed'; message: string }
  | { kind: 'mistakes'; problems: ConfigProblem[] };

/**
 * Replays the history in `folder` under the policies of `files`; with only one file, also under the recorded
 * policy.
 */
export async function simulate(
  folder: string,
  files: readonly string[],
  span: Span,
): Promise<SimulationResult> {
  const read = await readRecording(folder, span);
  if (!read.ok) return { kind: 'failed', message: read.message };
  const { recording } = read;
  const policies: Array<{ name: string; policy: Policy }> = [];
  if (files.length < 2) policies.push({ name: 'recorded', policy: recording.policy });
  const problems: ConfigProblem[] = [];
  for (const file of files) {
    const loaded = loadConfig(file, checkedPolicy(recording));
    if (loaded.ok) policies.push({ name: file, policy: loaded.config });
    else problems.push(...loaded.problems);
  }
  if (problems.length > 0) return { kind: 'mistakes', problems };
  const { spans, gateway, notes } = recording;
  return {
    kind: 'done',
    report: {
      kind: 'simulation',
      gateway,
      from: isoTime(spans[0]?.from ?? 0),
      to: isoTime(spans.at(-1)?.to ?? 0),
      replayedMs: spans.reduce((sum, { from, to }) => sum + to - from, 0),
      policies: policies.map(({ name, policy }) => replay(recording, policy, name)),
      notes: [...notes, ...policies.flatMap(({ name, policy }) => strangers(recording, name, policy))],
    },
  };
}

/** The policy schema with the checks against the recorded providers. */
function checkedPolicy({ providers }: Recording) {
  return policySchema.superRefine((policy, context) => {
    for (const issue of policyIssues(policy, providers)) context.addIssue({ code: 'custom', ...issue });
  });
}

function strangers({ load }: Recording, name: string, policy: Policy): string[] {
  const unknown = new Set(load.map(({ s }) => s).filter((stream) => !Object.hasOwn(policy.streams, stream)));
  return [...unknown].map(
    (stream) =>
      `${name} has no stream ${stream}: its records are left out there, because topics are not recorded`,
  );
}
