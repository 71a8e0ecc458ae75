/**
 * Where the running command reads, writes and leaves its exit code: the process, unless a caller runs the
 * command in its own process with a terminal of its own.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import type { Readable, Writable } from 'node:stream';

export interface Terminal {
  readonly stdin: Readable;
  /** `columns` is its width; a file or a pipe has none. */
  readonly stdout: Writable & { readonly isTTY?: boolean; readonly columns?: number };
  readonly stderr: Writable;
  /** The variables of the command line itself; references in a configuration are the process's own. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The exit code of shared/exit-codes.ts; undefined until a command has set it. */
  exitCode?: number | string | null | undefined;
}

const terminals = new AsyncLocalStorage<Terminal>();

export function terminal(): Terminal {
  return terminals.getStore() ?? process;
}

/**
 * Runs `work` on that terminal. The process itself needs no context: on Node.js 22 one would slow down every
 * promise of an agent.
 */
export function onTerminal<T>(where: Terminal, work: () => T): T {
  return where === process ? work() : terminals.run(where, work);
}
