/**
 * The policy of the configuration, read again while the agent runs: at SIGHUP, or when `policy_file` changes.
 * Other sections need a restart, and are named in the log. A mistake anywhere in the files changes nothing.
 */
import type { Clock } from '../../shared/clock.ts';
import type { ConfigResult } from '../../shared/config/load.ts';
import { formatProblems } from '../../shared/config/problem.ts';
import { errorText, type Logger } from '../../shared/log.ts';
import type { Policy } from '../../shared/policy/policy.ts';
import type { Service } from '../../shared/service.ts';
import { WatchedFile } from '../../shared/watched-file.ts';
import type { PolicyDoor } from './policy-door.ts';

/** A configuration by section; `policy` is one of them. */
export type Sections = Readonly<Record<string, unknown>> & { policy: Policy };

export interface PolicySourceOptions {
  door: Pick<PolicyDoor, 'take' | 'refuse'>;
  /** The configuration that the agent started with. */
  running: Sections;
  /** Reads the configuration again. */
  load: () => ConfigResult<Sections>;
  /** Null where the policy is part of agent.yaml. */
  policyFile: string | null;
  /** Called after a policy took effect. */
  onTaken: (policy: Policy) => Promise<void>;
  clock: Clock;
  log: Logger;
}

export class PolicySource implements Service {
  readonly #options: PolicySourceOptions;
  readonly #watched: WatchedFile | null;
  #isStarted: boolean = false;
  /** A signal came before the start. */
  #isAsked: boolean = false;

  constructor(options: PolicySourceOptions) {
    this.#options = options;
    const { policyFile: file, door, clock } = options;
    const watching = {
      take: () => this.#read(),
      onProblem: (problem: string) => door.refuse(problem),
      clock,
    };
    this.#watched = file === null ? null : new WatchedFile({ file, ...watching });
  }

  async start(): Promise<void> {
    this.#isStarted = true;
    await this.#watched?.start();
    if (this.#isAsked) await this.reload();
  }

  async stop(): Promise<void> {
    this.#isStarted = false;
    await this.#watched?.stop();
  }

  /** At SIGHUP. Never rejects: what is wrong is told in the log and in the status. */
  async reload(): Promise<void> {
    if (!this.#isStarted) {
      this.#isAsked = true;
      return;
    }
    const { door } = this.#options;
    const problem = await this.#read().catch((error: unknown) => errorText(error));
    if (problem !== null) door.refuse(problem);
  }

  /** Returns the mistakes in the files; null without one. */
  async #read(): Promise<string | null> {
    const { door, running, load, onTaken, log } = this.#options;
    const loaded = load();
    if (!loaded.ok) return formatProblems(loaded.problems);
    const { policy } = loaded.config;
    const sections = changedSections(running, loaded.config);
    if (sections.length > 0) log.warn({ event: 'policy.restart_needed', sections });
    if (await door.take(policy)) await onTaken(policy);
    return null;
  }
}

/** The names of the sections other than the policy that differ. */
function changedSections(before: Sections, now: Sections): string[] {
  const names = new Set([...Object.keys(before), ...Object.keys(now)]);
  names.delete('policy');
  return [...names].filter((name) => JSON.stringify(before[name]) !== JSON.stringify(now[name])).toSorted();
}
