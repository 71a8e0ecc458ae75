/** The SQLite ledger for the router: the thread of worker.ts answers every call. */
import { Worker } from 'node:worker_threads';
import type { Clock } from '../../../shared/clock.ts';
import { errorText } from '../../../shared/log.ts';
import { programUrl } from '../../../shared/program.ts';
import type { WarningLog } from '../../../shared/sparse-log.ts';
import { within } from '../../../shared/within.ts';
import type { Ledger } from '../ledger.ts';
import type { LedgerMaintenance } from '../maintenance.ts';
import { type StreamVisitor, surveyByPages } from '../paging.ts';
import { errorFrom, type LedgerCalls, type OpenArgument, type Reply, type Request } from './protocol.ts';

export interface ThreadLedgerOptions extends OpenArgument {
  clock: Clock;
  log: WarningLog;
}

/** Limit for the ping of `/readyz`, so that it answers also when the disk does not. */
const PING_MS_MAX = 5000;
/** Limit for every other call of the data path. Calls of maintenance, and `close`, have none. */
const CALL_MS_MAX = 60_000;

interface Waiting {
  resolve: (result: unknown) => void;
  reject: (error: Error) => void;
}

/** Like `openSqliteLedger`, in a thread of its own. */
export async function openLedgerThread(options: ThreadLedgerOptions): Promise<Ledger> {
  const { clock, log, ...argument } = options;
  const thread = new LedgerThread(clock, log);
  try {
    await thread.call({ to: 'thread', call: 'open', args: [argument] });
  } catch (error) {
    await thread.end();
    throw error;
  }
  return ledgerOf(thread);
}

type Call = Request extends infer R ? (R extends Request ? Omit<R, 'id'> : never) : never;

class LedgerThread {
  readonly #worker: Worker;
  readonly #clock: Clock;
  readonly #log: WarningLog;
  readonly #waiting = new Map<number, Waiting>();
  readonly #exited: Promise<void>;
  #lastId = 0;
  #over: Error | null = null;

  constructor(clock: Clock, log: WarningLog) {
    this.#clock = clock;
    this.#log = log;
    this.#worker = new Worker(programUrl('router/ledger/sqlite/worker.ts'), { name: 'ledger' });
    this.#worker.on('message', (reply: Reply) => this.#settle(reply));
    this.#worker.on('error', (error) => this.#end(`the ledger's thread failed: ${errorText(error)}`));
    this.#exited = new Promise((resolve) => {
      this.#worker.once('exit', () => {
        this.#end('the ledger is not open: its thread has ended');
        resolve();
      });
    });
  }

  /** Rejects with the ledger's error, or when the thread has ended. */
  call(call: Call): Promise<unknown> {
    if (this.#over) return Promise.reject(this.#over);
    const id = ++this.#lastId;
    this.#worker.postMessage({ id, ...call } as Request);
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
    });
  }

  async callWithin(limitMs: number, call: Call): Promise<unknown> {
    return within(this.#clock, limitMs, this.call(call), () => {
      throw new Error(`the ledger did not answer in ${limitMs / 1000} s (${call.call})`);
    });
  }

  /** Resolves when the thread has ended; after `close` it ends by itself. */
  async end(): Promise<void> {
    if (!this.#over) await this.#worker.terminate();
    await this.#exited;
  }

  exited(): Promise<void> {
    return this.#exited;
  }

  #settle(reply: Reply): void {
    if (reply.kind === 'warned') {
      this.#log.warn(reply.fields);
      return;
    }
    const waiting = this.#waiting.get(reply.id);
    this.#waiting.delete(reply.id);
    if (reply.kind === 'done') waiting?.resolve(reply.result);
    else waiting?.reject(errorFrom(reply.error));
  }

  #end(message: string): void {
    this.#over ??= new Error(message);
    for (const { reject } of this.#waiting.values()) reject(this.#over);
    this.#waiting.clear();
  }
}

function ledgerOf(thread: LedgerThread): Ledger {
  const ask =
    <Name extends keyof LedgerCalls>(call: Name, limitMs: number | null = CALL_MS_MAX) =>
    (...args: Parameters<LedgerCalls[Name]>): ReturnType<LedgerCalls[Name]> => {
      const request: Call = { to: 'ledger', call, args };
      const answer = limitMs === null ? thread.call(request) : thread.callWithin(limitMs, request);
      return answer as ReturnType<LedgerCalls[Name]>;
    };
  const keep =
    <Name extends keyof LedgerMaintenance>(call: Name) =>
    (...args: Parameters<LedgerMaintenance[Name]>): ReturnType<LedgerMaintenance[Name]> =>
      thread.call({ to: 'maintenance', call, args }) as ReturnType<LedgerMaintenance[Name]>;
  const completenessPage = ask('completenessPage');
  const closed = ask('close', null);
  let closing: Promise<void> | null = null;
  return {
    isMultiRouter: false,
    maintenance: {
      deadLetterHeads: keep('deadLetterHeads'),
      loadDeadLetter: keep('loadDeadLetter'),
      removeDeadLetters: keep('removeDeadLetters'),
      expire: keep('expire'),
      retain: keep('retain'),
      erase: keep('erase'),
      erasures: keep('erasures'),
      where: keep('where'),
    },
    commit: ask('commit'),
    read: ask('read'),
    completeness: ask('completeness'),
    completenessPage,
    survey: <V extends StreamVisitor>(begin: () => V) => surveyByPages(begin(), completenessPage),
    contacts: ask('contacts'),
    deadLetter: ask('deadLetter'),
    deadLetters: ask('deadLetters'),
    conflicts: ask('conflicts'),
    totals: ask('totals'),
    verify: ask('verify', null),
    loadFeedPosition: ask('loadFeedPosition'),
    resetFeedPosition: ask('resetFeedPosition'),
    claimFeedPosition: ask('claimFeedPosition'),
    releaseFeedPosition: ask('releaseFeedPosition'),
    moveFeedPosition: ask('moveFeedPosition'),
    loadCheckpoint: ask('loadCheckpoint'),
    replaceCheckpoint: ask('replaceCheckpoint'),
    ping: ask('ping', PING_MS_MAX),
    close: () => {
      closing ??= closed().then(() => thread.exited());
      return closing;
    },
  };
}
