/**
 * Publishes the ledger's records to NATS subjects.
 *
 * `jetstream`: a batch is done when a stream has acknowledged every record. A subject that no stream takes is
 * a failure, never a silent loss. `Nats-Msg-Id` is the record id, so that a stream drops repeats within its
 * duplicate window. `core`: a batch is done when the server has read it (PING/PONG), the only confirmation of
 * plain NATS: current subscribers receive it, and the server keeps nothing.
 *
 * The client does not reconnect: a lost connection fails the batch, and the next try connects anew.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { JetStreamClient } from '@nats-io/jetstream';
import type { NatsConnection, NodeConnectionOptions } from '@nats-io/transport-node';
import { z } from 'zod';
import type { Clock } from '../../../shared/clock.ts';
import { errorText } from '../../../shared/log.ts';
import { within } from '../../../shared/within.ts';
import type { LedgerRecord } from '../../ledger/types.ts';
import { DeliveryError, type FeedSink } from '../sink.ts';
import { natsSubject, recordHeaders, SUBJECT_TEMPLATE } from './nats-message.ts';

export const natsFeedOptions = z
  .strictObject({
    servers: z
      .array(
        z.url({
          protocol: /^(nats|tls)$/,
          error: 'expected a URL such as nats://host:4222 or tls://host:4222',
        }),
      )
      .min(1)
      .describe('Servers of one cluster, nats:// or tls://; the feed uses any that answers.'),
    subject: z
      .string()
      .regex(
        SUBJECT_TEMPLATE,
        'expected tokens set apart by ".", each literal text or {gateway}, {stream}, {device}, {topic}, starting with literal text',
      )
      .default('readings.{gateway}.{stream}')
      .describe(
        'The subject of each record. Placeholders: {gateway}, {stream}, {device}, {topic} (a token for each of its levels). Characters that a subject cannot hold are percent-encoded.',
      ),
    delivery: z
      .enum(['jetstream', 'core'])
      .default('jetstream')
      .describe(
        'jetstream: a stream must take the subject, and acknowledges. core: current subscribers receive the record, and the server keeps nothing.',
      ),
    credentials: z
      .string()
      .min(1)
      .exactOptional()
      .describe('Content of a .creds file; give it as file:/path.'),
    token: z
      .string()
      .min(1)
      .exactOptional()
      .describe('Authentication token; give it as a reference to the environment or a file.'),
    username: z.string().min(1).exactOptional().describe('Username at the server.'),
    password: z
      .string()
      .exactOptional()
      .describe('Password at the server; give it as a reference to the environment or a file.'),
    ca: z
      .string()
      .exactOptional()
      .describe('PEM of the authority that signed the server’s certificate; default: the usual ones.'),
    cert: z.string().exactOptional().describe('PEM of the client certificate.'),
    key: z.string().exactOptional().describe('PEM of its key.'),
  })
  .describe('Publishes every record to NATS, at least once with JetStream.');

export type NatsFeedOptions = z.output<typeof natsFeedOptions>;

const CONNECT_TIMEOUT_MS = 10_000;
/** The client notices a dead connection without traffic after two of these. */
const PING_MS = 4000;
const CLOSE_MS = 5000;
/** For one question about the streams. */
const ASK_MS = 4000;
/** For a whole batch; then the sink drops the connection, and the next try connects anew. */
const BATCH_DEADLINE_MS = 30_000;

/** A connection and the server's messages on it. */
interface Connected {
  nats: NatsConnection;
  jetstream: JetStreamClient;
  /** The server's last refusal during the batch. */
  refusal: Error | null;
  /** Fails the current batch when the connection ends. */
  lost: (reason: Error) => void;
}

export class NatsSink implements FeedSink {
  readonly #name: string;
  readonly #options: NatsFeedOptions;
  readonly #clock: Clock;
  #connected: Connected | null = null;
  #closed: boolean = false;

  /** `name` is the feed's. */
  constructor(name: string, options: NatsFeedOptions, clock: Clock) {
    this.#name = name;
    this.#options = options;
    this.#clock = clock;
  }

  async write(records: readonly LedgerRecord[]): Promise<number> {
    const connected = this.#connected ?? (await this.#connect());
    const { promise: failed, reject } = Promise.withResolvers<never>();
    connected.lost = reject;
    const timer = this.#clock.setTimer(BATCH_DEADLINE_MS, () =>
      reject(new Error(`not acknowledged within ${BATCH_DEADLINE_MS / 1000} s`)),
    );
    try {
      const publishing =
        this.#options.delivery === 'core' ? this.#flush(connected, records) : this.#store(connected, records);
      await Promise.race([publishing, failed]);
      return records.length;
    } catch (error) {
      await this.#drop(connected);
      if (error instanceof DeliveryError) throw error;
      throw new DeliveryError(errorText(error), { refusal: 'suspected', cause: error });
    } finally {
      timer.cancel();
    }
  }

  async check(): Promise<void> {
    const connected = this.#connected ?? (await this.#connect());
    const late = (): never => {
      throw new Error(`no PONG within ${BATCH_DEADLINE_MS / 1000} s`);
    };
    try {
      await within(this.#clock, BATCH_DEADLINE_MS, connected.nats.flush(), late);
    } catch (error) {
      await this.#drop(connected);
      throw error;
    }
  }

  /** Name of a stream that takes subjects of `filter`; null: none, `unknown`: no right to ask. */
  async streamFor(filter: string): Promise<string | null> {
    const { nats } = this.#connected ?? (await this.#connect());
    const { jetstreamManager } = await import('@nats-io/jetstream');
    const manager = await jetstreamManager(nats, { timeout: ASK_MS, checkAPI: false });
    try {
      return await manager.streams.find(filter);
    } catch (error) {
      const text = errorText(error);
      if (/no stream matches/i.test(text)) return null;
      if (/permission|timeout/i.test(text)) return 'unknown';
      throw error;
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    if (this.#connected) await this.#drop(this.#connected);
  }

  async #flush(connected: Connected, records: readonly LedgerRecord[]): Promise<void> {
    connected.refusal = null;
    const { headers } = await import('@nats-io/transport-node');
    for (const record of records) {
      const subject = natsSubject(this.#options.subject, record);
      connected.nats.publish(subject, record.payload, { headers: recordHeaders(headers(), record) });
    }
    await connected.nats.flush();
    // The server reports a refused publish before the PONG; it reaches `refusal` one turn later.
    await nextTurn();
    const { refusal } = connected;
    if (refusal !== null) throw new DeliveryError(errorText(refusal), { refusal: 'certain', cause: refusal });
  }

  async #store({ jetstream }: Connected, records: readonly LedgerRecord[]): Promise<void> {
    const { headers } = await import('@nats-io/transport-node');
    await Promise.all(
      records.map(async (record) => {
        const subject = natsSubject(this.#options.subject, record);
        try {
          await jetstream.publish(subject, record.payload, {
            headers: recordHeaders(headers(), record),
            timeout: BATCH_DEADLINE_MS,
          });
        } catch (error) {
          throw explained(error, subject);
        }
      }),
    );
  }

  async #connect(): Promise<Connected> {
    const { connect } = await import('@nats-io/transport-node');
    const { jetstream } = await import('@nats-io/jetstream');
    const late = (): never => {
      throw new Error(`not connected within ${CONNECT_TIMEOUT_MS / 1000} s`);
    };
    const connecting = connect(await connectionOptions(this.#name, this.#options));
    const nats = await within(this.#clock, CONNECT_TIMEOUT_MS, connecting, late).catch(async (error) => {
      // A connection that is made too late is not used.
      void connecting.then((open) => open.close()).catch(() => undefined);
      throw error;
    });
    const connected: Connected = { nats, jetstream: jetstream(nats), refusal: null, lost: () => undefined };
    if (this.#closed) {
      await this.#drop(connected);
      throw new Error('the feed was stopped');
    }
    this.#connected = connected;
    void this.#watch(connected);
    return connected;
  }

  /** Runs until the connection ends; the next write then connects anew. */
  async #watch(connected: Connected): Promise<void> {
    for await (const status of connected.nats.status()) {
      if (status.type === 'error') connected.refusal = status.error;
    }
    if (this.#connected === connected) this.#connected = null;
    connected.lost(new Error('the connection to the server was lost'));
  }

  async #drop(connected: Connected): Promise<void> {
    if (this.#connected === connected) this.#connected = null;
    await within(this.#clock, CLOSE_MS, connected.nats.close(), () => undefined);
  }
}

async function connectionOptions(name: string, options: NatsFeedOptions): Promise<NodeConnectionOptions> {
  const { credsAuthenticator } = await import('@nats-io/transport-node');
  const { servers, credentials, token, username, password, ca, cert, key } = options;
  const tls = { ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) };
  const encrypted = Object.keys(tls).length > 0 || servers.some((server) => server.startsWith('tls:'));
  return {
    servers,
    name: `headgate-feed-${name}`,
    reconnect: false,
    timeout: CONNECT_TIMEOUT_MS,
    pingInterval: PING_MS,
    ...(credentials !== undefined && { authenticator: credsAuthenticator(Buffer.from(credentials)) }),
    ...(token !== undefined && { token }),
    ...(username !== undefined && { user: username }),
    ...(password !== undefined && { pass: password }),
    ...(encrypted && { tls }),
  };
}

/** The client reports a subject that no stream takes as a server without JetStream. */
function explained(error: unknown, subject: string): unknown {
  if (!(error instanceof Error)) return error;
  if (error.name === 'JetStreamNotEnabled')
    return new DeliveryError(`no JetStream stream takes ${subject}`, { refusal: 'certain', cause: error });
  // The stream's answer to this message, or the client's own check of its size.
  const isRefused = error.name === 'JetStreamApiError' || /max(imum)?[ _]payload/i.test(error.message);
  return isRefused ? new DeliveryError(errorText(error), { refusal: 'certain', cause: error }) : error;
}
