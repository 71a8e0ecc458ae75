/** The SQLite ledger for the router: the thread of worker.ts answers every call. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import type { Clock } from '../../../shared/clock.ts';
import { errorText } from '../../../shared/error-text.ts';
import { programUrl } from '../../../shared/program.ts';
import type { WarningLog } from '../../../shared/sparse-log.ts';
import { within } from '../../../shared/within.ts';
import type { Ledger } from '../ledger.ts';
import type { LedgerMaintenance } from '../maintenance.ts';
import { type StreamVisitor, surveyByPages } from '../paging.ts';
import type { OnDropped } from '../rules/shares.ts';
import type { LedgerEntry } from '../types.ts';
import { buffersOf, piecesOf } from './entry-pieces.ts';
import { errorFrom, type LedgerCalls, type OpenArgument, type Reply, type Request } from './protocol.ts';

export interface ThreadLedgerOptions extends OpenArgument {
  clock: Clock;
  log: WarningLog;
  onDropped?: OnDropped | undefined;
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
  const { clock, log, onDropped, ...argument } = options;
  const thread = new LedgerThread({ clock, log, onDropped });
  try {
    await thread.call({ to: 'thread', call: 'open', args: [argument] });
  } catch (error) {
    await thread.end();
    throw error;
  }
  return ledgerOf(thread);
}

type Call = Request extends infer R ? (R extends Request ? Omit<R, 'id'> : never) : never;

/** The messages of one call. */
interface Outgoing {
  id: number;
  messages: Iterable<Call>;
}

class LedgerThread {
  readonly #worker: Worker;
  readonly #clock: Clock;
  readonly #log: WarningLog;
  readonly #onDropped: OnDropped | undefined;
  readonly #waiting = new Map<number, Waiting>();
  readonly #exited: Promise<void>;
  readonly #outgoing: Outgoing[] = [];
  #isSending: boolean = false;
  #lastId = 0;
  #over: Error | null = null;

  constructor({ clock, log, onDropped }: Pick<ThreadLedgerOptions, 'clock' | 'log' | 'onDropped'>) {
    this.#clock = clock;
    this.#log = log;
    this.#onDropped = onDropped;
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
    return this.#ask([call]);
  }

  /** Sends the entries in pieces; calls made meanwhile follow them. Rejects like `call`. */
  commit(entries: readonly LedgerEntry[]): Promise<unknown> {
    return this.#ask(commitMessages(entries));
  }

  /** `answer`: of the call `name`. */
  async within(limitMs: number, name: string, answer: Promise<unknown>): Promise<unknown> {
    return within(this.#clock, limitMs, answer, () => {
      throw new Error(`the ledger did not answer in ${limitMs / 1000} s (${name})`);
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

  #ask(messages: Iterable<Call>): Promise<unknown> {
    if (this.#over) return Promise.reject(this.#over);
    const id = ++this.#lastId;
    const answer = new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
    });
    this.#outgoing.push({ id, messages });
    if (!this.#isSending) void this.#send();
    return answer;
  }

  /** Sends all calls in their order. The loop turns between two messages of one call. Never rejects. */
  async #send(): Promise<void> {
    this.#isSending = true;
    for (let next = this.#outgoing.shift(); next; next = this.#outgoing.shift()) {
      const { id, messages } = next;
      try {
        let isFirst = true;
        for (const message of messages) {
          if (!isFirst) await nextTurn();
          if (this.#over) break;
          isFirst = false;
          const transfer = message.to === 'commit' ? buffersOf(message.piece) : [];
          this.#worker.postMessage({ id, ...message }, transfer);
        }
      } catch (error) {
        this.#waiting.get(id)?.reject(error instanceof Error ? error : new Error(String(error)));
        this.#waiting.delete(id);
      }
    }
    this.#isSending = false;
  }

  #settle(reply: Reply): void {
    if (reply.kind === 'warned') {
      this.#log.warn(reply.fields);
      return;
    }
    if (reply.kind === 'dropped') {
      this.#onDropped?.(reply.dropped);
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

function* commitMessages(entries: readonly LedgerEntry[]): Generator<Call> {
  for (const piece of piecesOf(entries)) yield { to: 'commit', call: 'commit', piece };
}

function ledgerOf(thread: LedgerThread): Ledger {
  const ask =
    <Name extends Exclude<keyof LedgerCalls, 'commit'>>(call: Name, limitMs: number | null = CALL_MS_MAX) =>
    (...args: Parameters<LedgerCalls[Name]>): ReturnType<LedgerCalls[Name]> => {
      const answer = thread.call({ to: 'ledger', call, args });
      const limited = limitMs === null ? answer : thread.within(limitMs, call, answer);
      return limited as ReturnType<LedgerCalls[Name]>;
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
      storedBytes: keep('storedBytes'),
      erase: keep('erase'),
      erasures: keep('erasures'),
      where: keep('where'),
    },
    commit: (entries) =>
      thread.within(CALL_MS_MAX, 'commit', thread.commit(entries)) as ReturnType<Ledger['commit']>,
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
