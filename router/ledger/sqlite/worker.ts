/**
 * Entry of the thread that owns the ledger's file, so that neither a slow disk nor another program's lock
 * blocks the router's event loop. It answers calls one at a time, in order, and continues after a failed
 * call.
 */
import { parentPort } from 'node:worker_threads';
import { systemClock } from '../../../shared/clock.ts';
import type { Ledger } from '../ledger.ts';
import { conflictPolicyOf } from '../rules/conflict-policy.ts';
import type { LedgerEntry } from '../types.ts';
import { openSqliteLedger } from './engine.ts';
import { JoinedEntries } from './entry-pieces.ts';
import { plainError, type Reply, type Request } from './protocol.ts';

if (parentPort === null) throw new Error('router/ledger/sqlite/worker is a thread entry');
const port = parentPort;
const log = { warn: (fields: Record<string, unknown>) => post({ kind: 'warned', fields }) };
/** Commits some of whose pieces have come. */
const joining = new Map<number, JoinedEntries>();
let ledger: Ledger | null = null;
let answering: Promise<void> = Promise.resolve();

function post(reply: Reply): void {
  port.postMessage(reply);
}

async function answered(request: Request): Promise<unknown> {
  if (request.to === 'thread') {
    const [{ conflicts, role, ...options }] = request.args;
    const policyOf = conflictPolicyOf(conflicts);
    const roles = role === undefined ? {} : { role };
    ledger = await openSqliteLedger({
      ...options,
      ...roles,
      conflictPolicyOf: policyOf,
      clock: systemClock,
      log,
      onDropped: (dropped) => post({ kind: 'dropped', dropped }),
    });
    return null;
  }
  if (ledger === null) throw new Error('the ledger is not open');
  if (request.to === 'commit') return ledger.commit(joined(request.id));
  const { to, call, args } = request;
  const target: object = to === 'ledger' ? ledger : ledger.maintenance;
  const method: unknown = Reflect.get(target, call);
  if (typeof method !== 'function') throw new Error(`the ledger has no ${call}`);
  return method.apply(target, args);
}

/** The entries of a commit whose last piece has come. */
function joined(id: number): LedgerEntry[] {
  const entries = joining.get(id)?.entries() ?? [];
  joining.delete(id);
  return entries;
}

async function answer(request: Request): Promise<void> {
  try {
    post({ kind: 'done', id: request.id, result: await answered(request) });
  } catch (error) {
    post({ kind: 'failed', id: request.id, error: plainError(error) });
  }
  // Only the port keeps the thread alive.
  if (request.to === 'ledger' && request.call === 'close') port.close();
}

port.on('message', (request: Request) => {
  if (request.to === 'commit') {
    const { id, piece } = request;
    const entries = joining.get(id) ?? new JoinedEntries();
    joining.set(id, entries);
    entries.add(piece);
    if (!piece.isLast) return;
  }
  answering = answering.then(() => answer(request));
});
