/** One decode thread, as the router's loop sees it. It decodes one message at a time. */
import { Worker } from 'node:worker_threads';
import type { Clock } from '../../shared/clock.ts';
import type { EnvelopeLimits } from '../../shared/envelope/limits.ts';
import { errorText } from '../../shared/log.ts';
import { programUrl } from '../../shared/program.ts';
import { within } from '../../shared/within.ts';
import type { DecodeAnswer, DecodeReply, DecodeRequest } from './decode-protocol.ts';
import type { Message } from './decoder.ts';

/** A thread loads the decoder within a fraction of a second. */
const START_MS_MAX = 10_000;
/** The largest body of the format takes about a second on a slow machine. */
const DECODE_MS_MAX = 10_000;
/** Megabytes of V8's heap, which holds the texts of one envelope (I10). */
const HEAP_LIMITS = { maxOldGenerationSizeMb: 128, maxYoungGenerationSizeMb: 32 };

export type HeapLimits = typeof HEAP_LIMITS;

export class DecodeThread {
  readonly #clock: Clock;
  readonly #worker: Worker;
  readonly #exited: Promise<void>;
  #answered: ((answer: DecodeAnswer | null) => void) | null = null;
  #ready: (isReady: boolean) => void = () => undefined;
  /** Why the thread ended; null while it lives. */
  #end: string | null = null;

  constructor(clock: Clock, heap: HeapLimits = HEAP_LIMITS) {
    this.#clock = clock;
    this.#worker = new Worker(programUrl('router/ingest/decode-worker.ts'), {
      name: 'decode',
      resourceLimits: heap,
    });
    this.#worker.on('message', (reply: DecodeReply) => {
      if (reply.kind === 'ready') this.#ready(true);
      else this.#answered?.(reply);
    });
    this.#worker.on('error', (error) => this.#over(errorText(error)));
    this.#exited = new Promise((resolve) => {
      this.#worker.once('exit', () => {
        this.#over('it has ended');
        resolve();
      });
    });
  }

  /** Why the thread takes no further message; null while it does. */
  get end(): string | null {
    return this.#end;
  }

  /** Resolves with whether the thread can decode; otherwise it is over. */
  async started(): Promise<boolean> {
    const ready = new Promise<boolean>((resolve) => {
      this.#ready = resolve;
    });
    const isReady = await within(this.#clock, START_MS_MAX, ready, () => false);
    if (!isReady) await this.terminate('it did not start');
    return isReady;
  }

  /** Null when the thread ended or did not answer in time; then it is over. */
  async decode(
    { bytes, contentKey = null }: Pick<Message, 'bytes' | 'contentKey'>,
    limits: EnvelopeLimits,
  ): Promise<DecodeAnswer | null> {
    const answer = new Promise<DecodeAnswer | null>((resolve) => {
      this.#answered = resolve;
    });
    // A copy: the message is still needed here, for a dead letter.
    const copy = new Uint8Array(bytes);
    const request: DecodeRequest = { bytes: copy, limits, contentKey };
    this.#worker.postMessage(request, [copy.buffer]);
    const answered = await within(this.#clock, DECODE_MS_MAX, answer, () => null);
    this.#answered = null;
    if (answered === null) await this.terminate(`no answer in ${DECODE_MS_MAX / 1000} s`);
    return answered;
  }

  async terminate(reason: string): Promise<void> {
    this.#over(reason);
    await this.#worker.terminate();
    await this.#exited;
  }

  #over(reason: string): void {
    this.#end ??= reason;
    this.#ready(false);
    this.#answered?.(null);
  }
}
