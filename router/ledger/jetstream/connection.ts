/**
 * Requests to the servers, each with a deadline, and retried while a cluster changes its leader.
 *
 * A publish without an acknowledgement may have been stored. Where that matters, the publish names the
 * sequence that it must follow (compare-and-set), and a message id then shows whether the stored message is
 * its own.
 */

import type {
  JetStreamClient,
  JetStreamManager,
  JsMsg,
  StoredMsg,
  StreamConfig,
  StreamInfo,
} from '@nats-io/jetstream';
import {
  DeliverPolicy,
  JetStreamApiCodes,
  JetStreamApiError,
  JsHeaders,
  jetstream,
  jetstreamManager,
} from '@nats-io/jetstream';
import { connect, headers, type MsgHdrs, type NatsConnection, nuid } from '@nats-io/transport-node';
import type { Clock } from '../../../shared/clock.ts';
import { EXIT } from '../../../shared/exit-codes.ts';
import type { SparseLog } from '../../../shared/sparse-log.ts';
import { refusedFor, StartRefused } from '../../../shared/start-refused.ts';
import { within } from '../../../shared/within.ts';
import { access, type JetStreamOptions } from './access.ts';
import { isApiError, isFinal } from './api-errors.ts';

/** A JetStream stream's state as the servers report it. */
export interface StreamState {
  name: string;
  description: string;
  /** The part of the description after the kind; null without one. */
  id: string | null;
  created: string;
  messages: number;
  firstSeq: number;
  lastSeq: number;
}

/** A message without its content. */
export interface MessageHead {
  subject: string;
  seq: number;
  bytes: number;
  account: string;
}

/** Selects a message: by sequence, the first of a subject from a sequence on, or the last of a subject. */
export type Where = { seq: number } | { seq: number; next_by_subj: string } | { last_by_subj: string };

/** "stream name already in use with a different configuration" (nats-server, server/errors.json). */
const STREAM_NAME_IN_USE = 10_058;
/** A look-up of a stream accepts the first "stream not found": it creates no stream. */
const FINAL_OF_LOOKS: ReadonlySet<number> = new Set([JetStreamApiCodes.StreamNotFound]);
const ID_HEADER = 'Headgate-Id';
const ACCOUNT_HEADER = 'Headgate-Account';
const TRY_MS_MAX = 2000;
const RETRY_MS = 50;
/** Most bytes of a message besides its payload. */
const OVERHEAD_BYTES = 2048;
const LIST_BATCH = 10_000;
const LIST_WAIT_MS = 2000;
/** Concurrent publishes of a chain. */
const CHAIN_WIDTH = 256;

export class Connection {
  readonly #nc: NatsConnection;
  readonly #js: JetStreamClient;
  readonly #jsm: JetStreamManager;
  readonly #clock: Clock;
  readonly #timeoutMs: number;

  private constructor(nc: NatsConnection, jsm: JetStreamManager, timeoutMs: number, clock: Clock) {
    this.#nc = nc;
    this.#jsm = jsm;
    this.#js = jetstream(nc);
    this.#timeoutMs = timeoutMs;
    this.#clock = clock;
  }

  /** Rejects when no server can be reached, or when none has JetStream. */
  static async open(options: JetStreamOptions, clock: Clock, log: SparseLog): Promise<Connection> {
    const nc = await connect({ ...access(options), timeout: options.timeoutMs }).catch((error: unknown) => {
      throw refusedFor(`no ledger at ${options.servers.join(', ')}`, error);
    });
    void tellOfLosses(nc, log);
    try {
      const jsm = await jetstreamManager(nc, { timeout: TRY_MS_MAX, checkAPI: false });
      return new Connection(nc, jsm, options.timeoutMs, clock);
    } catch (error) {
      await nc.close();
      throw error;
    }
  }

  /** The largest payload of one message. */
  get messageBytesMax(): number {
    return (this.#nc.info?.max_payload ?? 1024 * 1024) - OVERHEAD_BYTES;
  }

  /**
   * Creates the JetStream stream when it is missing; rejects when an existing stream has another essential
   * configuration. An existing stream may have another id.
   */
  async ensureStream(config: Partial<StreamConfig> & { name: string }): Promise<StreamState> {
    const info = await this.#persistently(async () => {
      try {
        return await this.#jsm.streams.info(config.name);
      } catch (error) {
        if (!isApiError(error, JetStreamApiCodes.StreamNotFound)) throw error;
        return this.#jsm.streams.add(config).catch((refused: unknown) => {
          // Another replica has just created the stream, with another id.
          if (isApiError(refused, STREAM_NAME_IN_USE)) return this.#jsm.streams.info(config.name);
          throw refused;
        });
      }
    });
    const { config: found } = info;
    const wrong = (['storage', 'retention', 'max_msgs_per_subject'] as const).filter(
      (key) => config[key] !== undefined && found[key] !== config[key],
    );
    if (wrong.length > 0) {
      throw new StartRefused(
        `JetStream stream ${config.name} is not this ledger's: ${wrong.join(', ')} differ`,
        EXIT.config,
      );
    }
    return stateOf(info);
  }

  /** Null when no server has the stream within `limitMs`. */
  async streamState(name: string, limitMs: number): Promise<StreamState | null> {
    try {
      return stateOf(await this.#persistently(() => this.#jsm.streams.info(name), limitMs, FINAL_OF_LOOKS));
    } catch (error) {
      if (isApiError(error, JetStreamApiCodes.StreamNotFound)) return null;
      throw error;
    }
  }

  async describe(name: string, description: string): Promise<void> {
    await this.#persistently(() => this.#jsm.streams.update(name, { description }));
  }

  async hasStream(name: string): Promise<boolean> {
    return this.#persistently(async () => {
      try {
        await this.#jsm.streams.info(name);
        return true;
      } catch (error) {
        if (isApiError(error, JetStreamApiCodes.StreamNotFound)) return false;
        throw error;
      }
    });
  }

  /**
   * Stores a message and returns its sequence. Retries after a lost acknowledgement, so the message may be
   * stored twice. `account`: goes into a header, for {@link heads}.
   */
  async publish(subject: string, bytes: Uint8Array, account: string | null = null): Promise<number> {
    const options = account === null ? {} : { headers: headersOf(null, account) };
    const ack = await this.#persistently(() =>
      this.#js.publish(subject, bytes, { ...options, timeout: TRY_MS_MAX }),
    );
    return ack.seq;
  }

  /**
   * Stores a message if the last message of the whole JetStream stream has the sequence `after` (0: if the
   * stream is empty), once even when the acknowledgement is lost. Returns its sequence, or null when another
   * message is there. The check is not by the last message of the subject: a cluster of nats-server 2.9
   * checks that one before consensus, and accepts two concurrent messages.
   */
  async publishAfter(
    stream: string,
    subject: string,
    after: number,
    bytes: Uint8Array,
    account: string | null = null,
  ): Promise<number | null> {
    const head = headersOf(nuid.next(), account);
    return this.#persistently(async () => {
      try {
        return await this.#publishOnce(subject, after, bytes, head);
      } catch (error) {
        const behind: Where = { seq: after + 1, next_by_subj: subject };
        const next = await this.#jsm.streams.getMessage(stream, behind);
        if (next?.header.get(ID_HEADER) === head.get(ID_HEADER)) return next.seq;
        if (next !== null || isApiError(error, JetStreamApiCodes.StreamWrongLastSequence)) return null;
        // The message is not stored so far. An earlier try may still be; the retry then loses to it and finds
        // its id.
        throw error;
      }
    });
  }

  /**
   * Stores messages one after the other, the first after the sequence `after`, with many in flight; returns
   * the last sequence. Rejects when a message was refused or its acknowledgement was lost: the messages
   * behind it are refused too.
   */
  async publishChain(
    messages: Iterable<{ subject: string; bytes: Uint8Array }>,
    after: number,
  ): Promise<number> {
    let last = after;
    const underWay: Promise<number>[] = [];
    for (const { subject, bytes } of messages) {
      underWay.push(this.#publishOnce(subject, last, bytes, headers()));
      last += 1;
      if (underWay.length === CHAIN_WIDTH) await Promise.all(underWay.splice(0));
    }
    await Promise.all(underWay);
    return last;
  }

  /**
   * Reads from any server with the stream, and again from the leader when that server lacks the message: for
   * data that never changes.
   */
  async get(stream: string, where: Where): Promise<StoredMsg | null> {
    return this.#persistently(
      async () =>
        (await this.#jsm.direct.getMessage(stream, where)) ?? this.#jsm.streams.getMessage(stream, where),
    );
  }

  /** Reads from the stream's leader: always current. */
  async getLatest(stream: string, subject: string): Promise<StoredMsg | null> {
    return this.#persistently(() => this.#jsm.streams.getMessage(stream, { last_by_subj: subject }));
  }

  /** Returns whether the message existed. */
  async remove(stream: string, seq: number): Promise<boolean> {
    return this.#persistently(async () => {
      const isGone = async (): Promise<boolean> =>
        (await this.#jsm.streams.getMessage(stream, { seq })) === null;
      if (await isGone()) return false;
      try {
        return await this.#jsm.streams.deleteMessage(stream, seq);
      } catch (error) {
        // An earlier try whose answer was lost may have taken effect since the look.
        if (await isGone()) return true;
        throw error;
      }
    });
  }

  /** Changes the bounds of a JetStream stream. */
  async bound(stream: string, bounds: { max_msgs: number; max_bytes: number }): Promise<void> {
    await this.#persistently(async () => {
      const { config } = await this.#jsm.streams.info(stream);
      if (config.max_msgs === bounds.max_msgs && config.max_bytes === bounds.max_bytes) return;
      await this.#jsm.streams.update(stream, bounds);
    });
  }

  /**
   * The first and last sequence of the stream; `last` is below `first` in an empty stream, and never
   * decreases.
   */
  async extent(stream: string): Promise<{ first: number; last: number }> {
    const { state } = await this.#persistently(() => this.#jsm.streams.info(stream));
    return { first: state.first_seq, last: state.last_seq };
  }

  /**
   * The messages of the matching subjects, oldest first. A consumer's count of pending messages is only a
   * hint (it drifts when messages are replaced): the list ends when the stream's leader has no next message.
   */
  async *list(stream: string, filter: string): AsyncGenerator<{ subject: string; data: Uint8Array }> {
    for await (const { subject, data } of this.#messages(stream, filter, false)) yield { subject, data };
  }

  /** All messages without their content, oldest first; `bytes` of the content. Empty `account`: none. */
  async *heads(stream: string): AsyncGenerator<MessageHead> {
    for await (const { subject, seq, headers: head } of this.#messages(stream, '>', true)) {
      const bytes = Number(head?.get(JsHeaders.MessageSizeHdr) ?? 0);
      yield { subject, seq, bytes, account: head?.get(ACCOUNT_HEADER) ?? '' };
    }
  }

  async *#messages(stream: string, filter: string, headersOnly: boolean): AsyncGenerator<JsMsg> {
    for (let from = 1; ; ) {
      const where: Where = { seq: from, next_by_subj: filter };
      const next = await this.#persistently(() => this.#jsm.streams.getMessage(stream, where));
      if (next === null) return;
      const consumer = await this.#persistently(() =>
        this.#js.consumers.get(stream, {
          filter_subjects: filter,
          deliver_policy: DeliverPolicy.StartSequence,
          opt_start_seq: next.seq,
          headers_only: headersOnly,
          inactive_threshold: LIST_WAIT_MS,
        }),
      );
      const messages = await consumer.fetch({ max_messages: LIST_BATCH, expires: LIST_WAIT_MS });
      for await (const message of messages) {
        yield message;
        from = message.seq + 1;
        if (message.info.pending === 0) break;
      }
    }
  }

  async close(): Promise<void> {
    await this.#nc.close();
  }

  async #publishOnce(subject: string, after: number, bytes: Uint8Array, head: MsgHdrs): Promise<number> {
    const expect = { lastSequence: after };
    return (await this.#js.publish(subject, bytes, { headers: head, expect, timeout: TRY_MS_MAX })).seq;
  }

  /** Retries until `attempt` succeeds, fails finally, or the time is over. */
  async #persistently<T>(
    attempt: () => Promise<T>,
    limitMs = this.#timeoutMs,
    final: ReadonlySet<number> = new Set(),
  ): Promise<T> {
    const endMs = this.#clock.monoMs() + Math.min(limitMs, this.#timeoutMs);
    for (;;) {
      try {
        const leftMs = Math.max(RETRY_MS, endMs - this.#clock.monoMs());
        return await within(this.#clock, leftMs, attempt(), () => {
          throw new Error(`no answer in ${Math.round(leftMs)} ms`);
        });
      } catch (error) {
        const isKnown = error instanceof JetStreamApiError && final.has(error.code);
        if (isKnown || isFinal(error) || this.#clock.monoMs() + RETRY_MS >= endMs) throw error;
        await this.#clock.sleep(RETRY_MS);
      }
    }
  }
}

function headersOf(id: string | null, account: string | null): MsgHdrs {
  const head = headers();
  if (id !== null) head.set(ID_HEADER, id);
  if (account !== null) head.set(ACCOUNT_HEADER, account);
  return head;
}

function stateOf({ config, created, state }: StreamInfo): StreamState {
  const { name, description = '' } = config;
  return {
    name,
    description,
    id: description.split(' ')[3] ?? null,
    created: String(created),
    messages: state.messages,
    firstSeq: state.first_seq,
    lastSeq: state.last_seq,
  };
}

async function tellOfLosses(nc: NatsConnection, log: SparseLog): Promise<void> {
  for await (const status of nc.status()) {
    if (status.type === 'disconnect') log.warn('ledger.connection_lost', { server: status.server });
    if (status.type === 'error') log.warn('ledger.connection_lost', { error: status.error.name });
  }
}
