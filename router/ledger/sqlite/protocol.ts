/** The messages between the router's thread and the ledger's (thread.ts, worker.ts). */
import { type ExitCode, isExitCode } from '../../../shared/exit-codes.ts';
import type { FileKey } from '../../../shared/sqlite/open.ts';
import { StartRefused } from '../../../shared/start-refused.ts';
import type { Ledger } from '../ledger.ts';
import type { LedgerMaintenance } from '../maintenance.ts';
import type { LedgerRole } from '../role.ts';
import type { ConflictRule } from '../rules/conflict-policy.ts';
import type { Dropped } from '../rules/shares.ts';
import { EntryRefused, LedgerLost } from '../types.ts';
import type { EntriesPiece } from './entry-pieces.ts';
import type { SqliteLedgerLimits } from './limits.ts';

export interface OpenArgument {
  file: string;
  /** Default: null, the file is in clear. */
  key?: FileKey | null;
  limits: Partial<SqliteLedgerLimits>;
  conflicts: readonly ConflictRule[];
  role?: LedgerRole | undefined;
}

/** `survey` takes a function, so the router's side builds it from pages. */
export type LedgerCalls = Omit<Ledger, 'maintenance' | 'isMultiRouter' | 'survey'>;

export type Request =
  | { id: number; to: 'thread'; call: 'open'; args: [OpenArgument] }
  /** A part of a commit, which has an answer after its last piece. */
  | { id: number; to: 'commit'; call: 'commit'; piece: EntriesPiece }
  | { id: number; to: 'ledger'; call: Exclude<keyof LedgerCalls, 'commit'>; args: unknown[] }
  | { id: number; to: 'maintenance'; call: keyof LedgerMaintenance; args: unknown[] };

export type Reply =
  | { kind: 'done'; id: number; result: unknown }
  | { kind: 'failed'; id: number; error: PlainError }
  | { kind: 'warned'; fields: Record<string, unknown> }
  | { kind: 'dropped'; dropped: Dropped };

/** An error as plain data: threads cannot exchange classes. */
export interface PlainError {
  name: string;
  message: string;
  code: string | null;
  exitCode: number | null;
  reason: string | null;
}

export function plainError(error: unknown): PlainError {
  if (!(error instanceof Error)) {
    return { name: 'Error', message: String(error), code: null, exitCode: null, reason: null };
  }
  return {
    name: error.name,
    message: error.message,
    code: 'code' in error ? String(error.code) : null,
    exitCode: error instanceof StartRefused ? error.exitCode : null,
    reason: error instanceof EntryRefused ? error.reason : null,
  };
}

export function errorFrom({ name, message, code, exitCode, reason }: PlainError): Error {
  if (exitCode !== null && isExitCode(exitCode))
    return new StartRefused(message, exitCode satisfies ExitCode);
  if (reason === 'limit' || reason === 'refused') return new EntryRefused(reason, message);
  if (name === 'LedgerLost') return new LedgerLost(message);
  const error = new Error(message);
  return code === null ? error : Object.assign(error, { code });
}
