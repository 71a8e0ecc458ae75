/**
 * The main thread's side of worker.ts: one lifetime of the thread, from open to close or to its first
 * failure.
 */
import { setFlagsFromString } from 'node:v8';
import { Worker } from 'node:worker_threads';
import { errorText } from '../../../shared/error-text.ts';
import { programUrl } from '../../../shared/program.ts';
import type { Calls, OpenArgument, Opened, Reply } from '../protocol.ts';
import { StoreError } from '../types.ts';

/**
 * Short-lived objects of the thread amount to one batch at a time; the process's own young-generation size
 * would take 25 MB more. A flag of the process overrides a limit given to the thread, and V8 reads the flag
 * when a thread starts, so the flag is set here.
 */
const YOUNG_FLAG = '--max-semi-space-size=2';

interface Waiting {
  resolve: (result: unknown) => void;
  reject: (error: StoreError) => void;
}

/**
 * Starts a thread and opens the file. Rejects with a StoreError, and ends the thread, when the file cannot be
 * opened.
 */
export async function openThread(argument: OpenArgument): Promise<{ thread: StoreThread; opened: Opened }> {
  const thread = new StoreThread();
  try {
    return { thread, opened: await thread.call('open', argument) };
  } catch (error) {
    await thread.end();
    throw error;
  }
}

export class StoreThread {
  readonly #worker: Worker;
  readonly #waiting = new Map<number, Waiting>();
  readonly #exited: Promise<void>;
  #lastId = 0;
  #over: StoreError | null = null;

  constructor() {
    setFlagsFromString(YOUNG_FLAG);
    this.#worker = new Worker(programUrl('agent/store/thread/worker.ts'), { name: 'store' });
    this.#worker.on('message', (reply: Reply) => this.#settle(reply));
    this.#worker.on('error', (error) => this.#end(new StoreError('failed', errorText(error))));
    this.#exited = new Promise((resolve) => {
      this.#worker.once('exit', () => {
        this.#end(new StoreError('failed', 'the store thread ended'));
        resolve();
      });
    });
  }

  /**
   * Rejects with a StoreError when the thread failed at this call or before it; all pending calls then reject
   * too.
   */
  call<Name extends keyof Calls>(
    name: Name,
    argument: Calls[Name]['argument'],
    transfer: ArrayBuffer[] = [],
  ): Promise<Calls[Name]['result']> {
    if (this.#over) return Promise.reject(this.#over);
    const id = ++this.#lastId;
    this.#worker.postMessage({ id, call: name, argument }, transfer);
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve: (result) => resolve(result as Calls[Name]['result']), reject });
    });
  }

  /** Resolves when the thread has ended and the file is closed. */
  async end(): Promise<void> {
    if (!this.#over) await this.#worker.terminate();
    await this.#exited;
  }

  #settle(reply: Reply): void {
    if (reply.kind === 'failed') {
      this.#end(new StoreError(reply.code, reply.message, reply.disk));
    } else {
      this.#waiting.get(reply.id)?.resolve(reply.result);
      this.#waiting.delete(reply.id);
    }
  }

  #end(error: StoreError): void {
    this.#over ??= error;
    for (const { reject } of this.#waiting.values()) reject(this.#over);
    this.#waiting.clear();
  }
}
