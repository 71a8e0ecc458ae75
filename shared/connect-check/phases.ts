/**
 * The phases of a connection, tried one after the other by `config check --connect`. Each phase has a limit,
 * and a failed one names the option that it depends on, and a remedy.
 */
import type { Clock } from '../clock.ts';
import type { Entropy } from '../entropy.ts';
import { errorText } from '../log.ts';
import { within } from '../within.ts';
import { isSilence, remedyFor, SILENT } from './remedies.ts';

/**
 * `files`: the entry's files are usable. `resolve`: the name has an address. `connect`: a TCP connection,
 * through the proxy where there is one. `tls`: a handshake with a trusted certificate. `login`: the
 * credentials are taken. `read`, `write`: the entry may do its work. `publish`: a heartbeat was accepted.
 * `listen`: the port can be bound. `open`: the ledger is usable.
 */
export type PhaseName =
  | 'files'
  | 'resolve'
  | 'connect'
  | 'tls'
  | 'login'
  | 'read'
  | 'write'
  | 'publish'
  | 'listen'
  | 'open';

/** A phase of one entry. */
export interface Phase {
  name: PhaseName;
  /** The option, within the entry, that this phase depends on most. */
  option: string;
  /**
   * Resolves with a note for people; null without one. Rejects when the phase failed. `signal` aborts when
   * the limit is over.
   */
  run(signal: AbortSignal): Promise<string | null>;
  /** Limit in milliseconds, where it is not {@link PHASE_MS}. */
  limitMs?: number;
}

/** The phases of one entry, and the release of everything that they opened. */
export interface ConnectCheck {
  phases: readonly Phase[];
  close(): Promise<void>;
}

/** The dependencies of a check. */
export interface ConnectDeps {
  clock: Clock;
  entropy: Entropy;
}

/** A failed phase that knows its option or its remedy better than the phase's own. */
export class PhaseFailure extends Error {
  readonly option: string | null;
  readonly fix: string | null;

  constructor(
    message: string,
    { option = null, fix = null }: { option?: string | null; fix?: string | null },
  ) {
    super(message);
    this.name = 'PhaseFailure';
    this.option = option;
    this.fix = fix;
  }
}

export interface PassedPhase {
  phase: PhaseName;
  ms: number;
  note: string | null;
}

export interface PhaseProblem {
  phase: PhaseName;
  /** From the file's top: `sources.aws.queue_url`. */
  option: string;
  message: string;
  fix: string;
}

/** The result of one entry. */
export interface CheckedEntry {
  /** `sources.aws` */
  entry: string;
  type: string;
  passed: PassedPhase[];
  /** Null when all phases passed. */
  problem: PhaseProblem | null;
}

export interface CheckedPart {
  entry: string;
  type: string;
  /** Rejects when the entry cannot even be made. */
  check: () => Promise<ConnectCheck>;
}

/** Limit of a phase. */
export const PHASE_MS = 10_000;
const CLOSE_MS = 2000;

interface Running {
  clock: Clock;
  /** Called as each phase ends. */
  onPhase: (entry: string, ended: PassedPhase | PhaseProblem) => void;
  /** Removes secrets. */
  clean: (text: string) => string;
}

/** Runs the phases of one entry up to the first that fails. Never rejects. */
export async function runPhases(
  { entry, type, check }: CheckedPart,
  running: Running,
): Promise<CheckedEntry> {
  const { clock, onPhase, clean } = running;
  const passed: PassedPhase[] = [];
  /** The option that names the address, once a connection was made. */
  let addressOption: string | null = null;
  const problemOf = (phase: PhaseName, option: string, error: unknown): PhaseProblem => {
    const own = error instanceof PhaseFailure ? error : null;
    const message = textOf(error, clean);
    // Silence says nothing of credentials or files, but of what listens there.
    const named = isSilence(message) ? addressOption : null;
    const at = own?.option ?? named ?? option;
    return {
      phase,
      option: at === '' ? entry : /^[A-Z_]+$/.test(at) ? at : `${entry}.${at}`,
      message,
      fix: clean(own?.fix ?? (named === null ? remedyFor(phase, error) : SILENT)),
    };
  };
  const failed = (problem: PhaseProblem): CheckedEntry => {
    onPhase(entry, problem);
    return { entry, type, passed, problem };
  };
  let opened: ConnectCheck;
  try {
    opened = await within(clock, PHASE_MS, check(), () => late(PHASE_MS));
  } catch (error) {
    return failed(problemOf('files', '', error));
  }
  try {
    for (const phase of opened.phases) {
      const startedMs = clock.monoMs();
      try {
        const note = await limited(phase, clock);
        const ended = {
          phase: phase.name,
          ms: Math.round(clock.monoMs() - startedMs),
          note: note === null ? null : clean(note),
        };
        passed.push(ended);
        if (phase.name === 'connect') addressOption = phase.option;
        onPhase(entry, ended);
      } catch (error) {
        return failed(problemOf(phase.name, phase.option, error));
      }
    }
    return { entry, type, passed, problem: null };
  } finally {
    const closed = opened.close().catch(() => undefined);
    await within(clock, CLOSE_MS, closed, () => undefined);
  }
}

/** Cleaned before it is cut to its length: the half of a secret is one too. */
function textOf(error: unknown, clean: (text: string) => string): string {
  const whole = error instanceof Error ? error.message || error.name : errorText(error);
  return errorText(new Error(clean(whole)));
}

async function limited({ run, limitMs = PHASE_MS }: Phase, clock: Clock): Promise<string | null> {
  const over = new AbortController();
  try {
    return await within(clock, limitMs, run(over.signal), () => late(limitMs));
  } finally {
    over.abort();
  }
}

function late(limitMs: number): never {
  throw Object.assign(new Error(`no answer in ${limitMs / 1000} s`), { code: 'ETIMEDOUT' });
}
