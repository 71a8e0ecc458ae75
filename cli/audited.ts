/** Commands that change something note it in the audit log of the data folder: before and after it. */
import { AuditLog, AuditRefused, type Change, type ChangeEnd } from '../shared/audit/audit-log.ts';
import { caller } from '../shared/audit/caller.ts';
import { systemClock } from '../shared/clock.ts';
import { errorCode } from '../shared/config/references.ts';
import { makeFolder } from '../shared/config/start-check.ts';
import { systemEntropy } from '../shared/entropy.ts';
import { EXIT } from '../shared/exit-codes.ts';
import { becomeOwnerByPath } from './folder-owner.ts';
import { fail } from './output.ts';
import { terminal } from './terminal.ts';

/** A change without the person who makes it. */
export type Named = Omit<Change, 'who'>;

/** The end of the work, and facts that only it gave. */
interface Ended<T> {
  value: T;
  phase?: ChangeEnd['phase'];
  detail?: ChangeEnd['detail'] | undefined;
}

/** The same with an exit code. */
export interface Worked extends Omit<Ended<number>, 'value'> {
  code: number;
}

/** The log of a folder whose owner the process is by now. */
export function auditOf(dataDir: string, program: 'agent' | 'router'): AuditLog {
  return new AuditLog({ dataDir, program, clock: systemClock, entropy: systemEntropy });
}

/** Makes the router's `data_dir` where there is none: its ledger may be on another machine. */
export async function routerAudit({ data_dir: dataDir }: { data_dir: string }): Promise<AuditLog> {
  becomeOwnerByPath(dataDir);
  await makeFolder('data_dir', dataDir);
  return auditOf(dataDir, 'router');
}

/**
 * Returns the exit code of the work, which is also the end of the change where `phase` says nothing else; of
 * a change that cannot be noted, after an error message.
 */
export async function audited(log: AuditLog, named: Named, work: () => Promise<Worked>): Promise<number> {
  const outcome = await auditedOutcome(log, named, async () => {
    const { code, phase = code === EXIT.ok ? 'done' : 'refused', detail } = await work();
    return { value: code, phase, detail };
  });
  return 'value' in outcome ? outcome.value : fail(outcome.refused, EXIT.failed);
}

/** The value of the work; `refused`: nothing was changed, because it cannot be noted. */
export async function auditedOutcome<T>(
  log: AuditLog,
  named: Named,
  work: () => Promise<Ended<T>>,
): Promise<{ value: T } | { refused: string }> {
  const change: Change = { ...named, who: caller(terminal().env) };
  let begun: number;
  try {
    begun = await log.begin(change);
  } catch (error) {
    if (!(error instanceof AuditRefused)) throw error;
    return { refused: `nothing was changed: ${error.message}` };
  }
  let ended: Ended<T>;
  try {
    ended = await work();
  } catch (error) {
    // The text of an error may hold a secret.
    await end(log, begun, change, { phase: 'failed', detail: { error: errorCode(error) } });
    throw error;
  }
  const { value, phase = 'done', detail } = ended;
  await end(log, begun, change, { phase, detail });
  return { value };
}

/** The change stands, so a failure here does not fail the command. */
async function end(log: AuditLog, begun: number, change: Change, told: ChangeEnd): Promise<void> {
  try {
    await log.end(begun, change, told);
  } catch (error) {
    if (!(error instanceof AuditRefused)) throw error;
    const text = `${change.action}: ${told.phase}, but the audit log shows it as unfinished`;
    fail(`${text}: ${error.message}`, EXIT.failed);
  }
}
