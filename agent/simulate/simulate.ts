/** `headgate simulate`: replays the recorded past under several policies for comparison. */

import { setImmediate as nextTurn } from 'node:timers/promises';
import type { PolicyReplay, SimulationReport } from '../../shared/admin-api/simulation.ts';
import { AUDIT_STREAM } from '../../shared/audit/audit-log.ts';
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
 * policy. `report` is told how far the replay has come.
 */
export async function simulate(
  folder: string,
  files: readonly string[],
  span: Span,
  report: (progress: string) => void = () => undefined,
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
  const replayed: PolicyReplay[] = [];
  for (const { name, policy } of policies) {
    const told = (wallMs: number): void => report(`policy ${name}: to ${isoTime(wallMs)}`);
    replayed.push(await inTurns(replay(recording, policy, name), told));
  }
  return {
    kind: 'done',
    report: {
      kind: 'simulation',
      gateway,
      from: isoTime(spans[0]?.from ?? 0),
      to: isoTime(spans.at(-1)?.to ?? 0),
      replayedMs: spans.reduce((sum, { from, to }) => sum + to - from, 0),
      policies: replayed,
      notes: [...notes, ...policies.flatMap(({ name, policy }) => strangers(recording, name, policy))],
    },
  };
}

/** Lets the process do other work between the steps. */
async function inTurns<T>(steps: Generator<number, T, void>, told: (wallMs: number) => void): Promise<T> {
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
    told(step.value);
    await nextTurn();
  }
}

/** The policy schema with the checks against the recorded providers. */
function checkedPolicy({ providers }: Recording) {
  return policySchema.superRefine((policy, context) => {
    for (const issue of policyIssues(policy, providers)) context.addIssue({ code: 'custom', ...issue });
  });
}

function strangers({ load }: Recording, name: string, policy: Policy): string[] {
  const unknown = new Set(
    load
      .map(({ s }) => s)
      .filter((stream) => stream !== AUDIT_STREAM && !Object.hasOwn(policy.streams, stream)),
  );
  return [...unknown].map(
    (stream) =>
      `${name} has no stream ${stream}: its records are left out there, because topics are not recorded`,
  );
}
