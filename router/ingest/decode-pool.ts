/**
 * Decodes large envelopes in threads, so that none holds the router's loop. A small envelope is decoded on
 * the loop, unless its lane waits for a thread: the limits of a small one bound its time beforehand, and a
 * message to a thread and back takes longer.
 *
 * A lane has one message at a thread at most, and the lanes take their turns: a sender of costly envelopes
 * delays itself. A thread that ends or hangs over a message is replaced, and the message is left for
 * redelivery; at the second time it is refused for good.
 */
import { createHash } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Clock } from '../../shared/clock.ts';
import { type EnvelopeColumns, gapsOf, recordCount, recordsOf } from '../../shared/envelope/columns.ts';
import type { Envelope } from '../../shared/envelope/envelope.ts';
import { ENVELOPE_LIMITS, type EnvelopeLimits } from '../../shared/envelope/limits.ts';
import type { Logger } from '../../shared/log.ts';
import type { Service } from '../../shared/service.ts';
import { SparseLog } from '../../shared/sparse-log.ts';
import type { DecodeMeter } from './decode-meter.ts';
import { DecodeThread, type HeapLimits } from './decode-thread.ts';
import { type Decoded, type Decoder, InlineDecoder, type Message } from './decoder.ts';
import { MESSAGE_BYTES_MAX } from './refusal.ts';

/** Bounds the time on the loop: 1.4 ms of CPU for a thousand records, words and gaps each. */
const SMALL_BODY_BYTES = 64 * 1024;
const SMALL_RECORDS = 1000;
/** Records that are made into objects before the loop turns. */
const RECORDS_PER_TURN = 1000;
const THREADS_MIN = 2;
const THREADS_MAX = 4;
const MIB = 1024 * 1024;
/** Most bytes of messages that wait for a thread, and of one lane's (I10). */
const BYTES_MAX = 64 * MIB;
const LANE_BYTES_MAX = 24 * MIB;
/** Messages that have cost a thread; beyond, the oldest is forgotten (I10). */
const STRIKES_MAX = 1000;
const STRIKES_OUT = 2;
/** As at the ledger: one lane takes at most two fifths of a thread's time while others are about. */
const REST_PER_MS = 1.5;
const REST_MS_MAX = 1000;
const ABOUT_MS = 10_000;

export interface DecodePoolOptions {
  clock: Clock;
  log: Logger;
  meter: DecodeMeter;
  limits?: EnvelopeLimits;
  /** Default: one less than the processor's cores, 2 to 4. */
  threads?: number;
  heap?: HeapLimits;
}

interface Job {
  message: Message;
  /** Whether the loop has looked at it before: it is not small. */
  isLarge: boolean;
  use: (decoded: Decoded) => void;
}

interface Lane {
  /** The one in hand first. */
  jobs: Job[];
  bytes: number;
  /** The time that its last message took a thread; 0 without one. */
  threadMs: number;
}

export class DecodePool implements Decoder, Service {
  readonly #options: DecodePoolOptions;
  readonly #limits: EnvelopeLimits;
  readonly #small: InlineDecoder;
  readonly #log: SparseLog;
  readonly #size: number;
  /** A lane without messages is absent. */
  readonly #lanes = new Map<string, Lane>();
  readonly #running = new Set<Promise<void>>();
  readonly #threads = new Set<DecodeThread>();
  readonly #free: DecodeThread[] = [];
  /** Lanes that wait for a thread, in their order. */
  readonly #turns: Array<(thread: DecodeThread | null) => void> = [];
  /** By hash of the message: threads that it has cost. */
  readonly #strikes = new Map<string, number>();
  /** The last two lanes that had a message, the last first. */
  #about: Array<{ name: string; atMs: number }> = [];
  /** Aborted when none rests any more. */
  readonly #resting = new AbortController();
  #waitingBytes = 0;
  #lost = 0;
  #isStopping: boolean = false;

  constructor(options: DecodePoolOptions) {
    const { clock, log, meter, limits = ENVELOPE_LIMITS } = options;
    const cores = availableParallelism();
    this.#options = options;
    this.#limits = limits;
    this.#size = options.threads ?? Math.max(THREADS_MIN, Math.min(THREADS_MAX, cores - 1));
    this.#log = new SparseLog({ log, clock });
    const small = {
      ...limits,
      bodyBytes: Math.min(limits.bodyBytes, SMALL_BODY_BYTES),
      records: Math.min(limits.records, SMALL_RECORDS),
    };
    this.#small = new InlineDecoder({ clock, limits: small, meter });
  }

  /** Bytes of messages that wait for a thread or are at one. */
  get waitingBytes(): number {
    return this.#waitingBytes;
  }

  /** Threads that ended or hung over a message, or did not start. */
  get lost(): number {
    return this.#lost;
  }

  /** A thread that does not start is tried again with the next large envelope. */
  async start(): Promise<void> {
    const started = await Promise.all(Array.from({ length: this.#size }, () => this.#newThread()));
    for (const thread of started) if (thread !== null) this.#release(thread);
  }

  async stop(): Promise<void> {
    this.#isStopping = true;
    const ended = [...this.#threads].map((thread) => thread.terminate('the router is stopping'));
    this.#noThread();
    await Promise.all(ended);
    await this.drain();
  }

  decode<Result>(message: Message, use: (decoded: Decoded) => Promise<Result>): Promise<Result> {
    this.#came(message.lane);
    const lane = this.#lanes.get(message.lane);
    const decoded = lane === undefined ? this.#decodedHere(message) : null;
    if (decoded !== null) return use(decoded);
    const { length } = message.bytes;
    const isFull = this.#waitingBytes + length > BYTES_MAX || (lane?.bytes ?? 0) > LANE_BYTES_MAX;
    if (this.#isStopping || isFull) {
      this.#log.warn('ingest.decode_overloaded', { lane: message.lane, waitingBytes: this.#waitingBytes });
      return use('later');
    }
    return new Promise((resolve) => {
      this.#add(message.lane, {
        message,
        isLarge: lane === undefined,
        use: (result) => resolve(use(result)),
      });
    });
  }

  async drain(): Promise<void> {
    this.#resting.abort();
    for (const lane of this.#lanes.values()) {
      while (lane.jobs.length > 1) this.#remove(lane, lane.jobs.pop())?.use('later');
    }
    await Promise.all(this.#running);
  }

  #came(name: string): void {
    const others = this.#about.filter((one) => one.name !== name);
    this.#about = [{ name, atMs: this.#options.clock.monoMs() }, ...others].slice(0, 2);
  }

  /** Null for an envelope that is not small. */
  #decodedHere(message: Message): Decoded | null {
    const { length } = message.bytes;
    if (length > SMALL_BODY_BYTES && length <= MESSAGE_BYTES_MAX) return null;
    const decoded = this.#small.decoded(message);
    const isBeyond = 'reason' in decoded && decoded.reason === 'limit' && length <= MESSAGE_BYTES_MAX;
    return isBeyond ? null : decoded;
  }

  #add(name: string, job: Job): void {
    const { length } = job.message.bytes;
    const known = this.#lanes.get(name);
    const lane = known ?? { jobs: [], bytes: 0, threadMs: 0 };
    lane.jobs.push(job);
    lane.bytes += length;
    this.#waitingBytes += length;
    if (known !== undefined) return;
    this.#lanes.set(name, lane);
    const running = this.#run(name, lane).finally(() => this.#running.delete(running));
    this.#running.add(running);
  }

  #remove(lane: Lane, job: Job | undefined): Job | undefined {
    const length = job?.message.bytes.length ?? 0;
    lane.bytes -= length;
    this.#waitingBytes -= length;
    return job;
  }

  async #run(name: string, lane: Lane): Promise<void> {
    for (let job = lane.jobs[0]; job !== undefined; job = lane.jobs[0]) {
      const here = job.isLarge ? null : this.#decodedHere(job.message);
      if (here !== null) await nextTurn();
      const decoded = here ?? (await this.#decodedByThread(job.message, lane));
      this.#remove(lane, lane.jobs.shift());
      if (lane.jobs.length === 0) this.#lanes.delete(name);
      // Takes its place in the next commit before any later message of the lane.
      job.use(decoded);
      if (lane.jobs.length > 0) await this.#rest(name, lane);
    }
  }

  /** The lane leaves processor and threads to the others for longer than its last message took. */
  async #rest(name: string, lane: Lane): Promise<void> {
    const { clock } = this.#options;
    const restMs = Math.min(REST_MS_MAX, lane.threadMs * REST_PER_MS);
    lane.threadMs = 0;
    const nowMs = clock.monoMs();
    const isAlone = !this.#about.some((one) => one.name !== name && nowMs - one.atMs <= ABOUT_MS);
    if (restMs > 0 && !isAlone) await clock.sleep(restMs, this.#resting.signal);
  }

  async #decodedByThread(message: Message, own: Lane): Promise<Decoded> {
    const { bytes, gateway, lane } = message;
    const thread = await this.#threadInTurn();
    if (thread === null) return 'later';
    const answer = await thread.decode(message, this.#limits);
    if (answer === null) {
      this.#vacate(thread);
      return this.#isStopping ? 'later' : this.#strike(bytes, { lane, error: thread.end });
    }
    this.#release(thread);
    const { decoded, ms } = answer;
    const counted = gateway ?? ('reason' in decoded ? null : decoded.head.gateway);
    this.#options.meter.count('thread', counted, { ms, bytes: bytes.length });
    own.threadMs = ms;
    return 'reason' in decoded ? decoded : envelopeInTurns(decoded);
  }

  /** A thread that is free, in the order of the calls; null when none can be had. */
  #threadInTurn(): Promise<DecodeThread | null> {
    for (let free = this.#free.shift(); free !== undefined; free = this.#free.shift()) {
      if (free.end === null) return Promise.resolve(free);
      this.#threads.delete(free);
    }
    if (this.#isStopping) return Promise.resolve(null);
    if (this.#threads.size < this.#size) return this.#newThread();
    return new Promise((resolve) => {
      this.#turns.push(resolve);
    });
  }

  async #newThread(): Promise<DecodeThread | null> {
    const { clock, heap } = this.#options;
    const thread = new DecodeThread(clock, heap);
    this.#threads.add(thread);
    if (await thread.started()) return thread;
    this.#threads.delete(thread);
    if (!this.#isStopping) {
      this.#lost += 1;
      this.#log.warn('ingest.decode_thread_failed', { error: thread.end });
    }
    this.#noThread();
    return null;
  }

  /** The lanes that wait leave their messages for later. */
  #noThread(): void {
    for (const turn of this.#turns.splice(0)) turn(null);
  }

  #release(thread: DecodeThread): void {
    const next = thread.end === null ? this.#turns.shift() : undefined;
    if (thread.end !== null) this.#vacate(thread);
    else if (next === undefined) this.#free.push(thread);
    else next(thread);
  }

  /** The thread is over; the next lane gets its successor. */
  #vacate(thread: DecodeThread): void {
    this.#threads.delete(thread);
    const next = this.#isStopping ? undefined : this.#turns.shift();
    if (next !== undefined) void this.#newThread().then(next);
  }

  /** The message has cost a thread. */
  #strike(bytes: Uint8Array, fields: { lane: string; error: string | null }): Decoded {
    this.#lost += 1;
    const hash = createHash('sha256').update(bytes).digest('base64');
    const strikes = (this.#strikes.get(hash) ?? 0) + 1;
    this.#log.warn('ingest.decode_thread_lost', { ...fields, bytes: bytes.length, strikes });
    this.#strikes.delete(hash);
    if (strikes >= STRIKES_OUT)
      return { reason: 'internal', detail: `ended or held its decoder ${strikes} times: ${fields.error}` };
    this.#strikes.set(hash, strikes);
    for (const oldest of this.#strikes.keys()) {
      if (this.#strikes.size <= STRIKES_MAX) break;
      this.#strikes.delete(oldest);
    }
    return 'later';
  }
}

/** Makes the records some at a time. */
async function envelopeInTurns(columns: EnvelopeColumns): Promise<Envelope> {
  const count = recordCount(columns);
  const records = recordsOf(columns, 0, Math.min(count, RECORDS_PER_TURN));
  for (let from = RECORDS_PER_TURN; from < count; from += RECORDS_PER_TURN) {
    await nextTurn();
    for (const record of recordsOf(columns, from, Math.min(count, from + RECORDS_PER_TURN)))
      records.push(record);
  }
  return { ...columns.head, records, gaps: gapsOf(columns) };
}
