/**
 * The router's own HTTPS endpoint: gateways post envelopes to it, with the same bytes as to any cloud; a
 * private cloud needs nothing else. Each request is authenticated before a byte of its body is read, by
 * client certificate or by token (login.ts).
 */
import { createServer, type IncomingMessage } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { FastifyInstance, FastifyReply } from 'fastify';
import type { Timer } from '../../../shared/clock.ts';
import { listening } from '../../../shared/config/start-check.ts';
import { sendReasonOf } from '../../../shared/envelope/send-reason.ts';
import { Listening } from '../../../shared/listening.ts';
import { LivingConnections } from '../../../shared/living-connections.ts';
import { errorText } from '../../../shared/log.ts';
import { OcspStapling } from '../../../shared/ocsp/stapling.ts';
import { SparseLog } from '../../../shared/sparse-log.ts';
import {
  readTlsFiles,
  stampOfTlsFiles,
  TLS_FILES_POLL_MS,
  type TlsFiles,
  tlsFilesFollower,
} from '../../../shared/tls-files.ts';
import { within } from '../../../shared/within.ts';
import { GatewayKeys } from '../../gateways/gateway-keys.ts';
import type { ReceiptForm } from '../../receipts/form.ts';
import type { Receipts } from '../../receipts/receipts.ts';
import { gatewayOf, type Identities } from '../identities.ts';
import {
  type DeliveryHandler,
  OPEN_GATE,
  type Source,
  type SourceDeps,
  type SourceState,
} from '../source.ts';
import { Standing } from '../standing.ts';
import type { Answer } from './answer.ts';
import { ConnectionGuard, type ConnectionRefusal, HEAD_MS } from './connection-guard.ts';
import { Downlink } from './downlink.ts';
import { Envelopes } from './envelopes.ts';
import { type LoginRefusal, logIn } from './login.ts';
import type { HttpsSourceOptions } from './options.ts';

/** Why a request failed; the metric label. */
export type ApiRefusal =
  | LoginRefusal
  | ConnectionRefusal
  | 'foreign-gateway'
  | 'too-large'
  | 'undecodable'
  | 'behind';

export interface HttpsDeps extends SourceDeps {
  receipts: Receipts;
  form: ReceiptForm;
  /** Authenticated names, each with the gateway that it sends for, where the two differ. */
  identities?: Identities;
  /** Milliseconds until a body that stops ends its connection. */
  bodySilenceMs?: number;
}

/** Limit for reading one request with its body, which may come over a thin uplink. */
const REQUEST_MS = 600_000;
/** Limit for the next bytes of a body. */
const BODY_SILENCE_MS = 30_000;
/** How often Node looks for late heads and requests. */
const CHECKING_MS = 1000;
/**
 * Longer than a gateway's pause between requests, so that a reused connection does not end under a request.
 */
const KEEP_ALIVE_MS = 75_000;
/** Limit at a stop for the requests in hand. */
const STOP_MS = 5000;

export class HttpsSource implements Source {
  readonly name: string;
  readonly type = 'https';
  readonly #options: HttpsSourceOptions;
  readonly #deps: HttpsDeps;
  readonly #log: SparseLog;
  readonly #keys: GatewayKeys | null;
  readonly #standing = new Standing();
  readonly #refusals = new Map<ApiRefusal, number>();
  /** The gateway that sent each authenticated request. */
  readonly #senders = new WeakMap<IncomingMessage, string>();
  readonly #stopping = new AbortController();
  #listening: Listening | null = null;
  #app: FastifyInstance | null = null;
  #guard: ConnectionGuard | null = null;
  #polling: Timer | null = null;

  constructor(name: string, options: HttpsSourceOptions, deps: HttpsDeps) {
    this.name = name;
    this.#options = options;
    this.#deps = deps;
    this.#log = new SparseLog(deps);
    this.#keys = options.gateways_file === undefined ? null : new GatewayKeys(options.gateways_file, deps);
  }

  state(): SourceState {
    return this.#standing.state();
  }

  /** Requests refused since start, by reason. */
  refusals(): ReadonlyMap<ApiRefusal, number> {
    return this.#refusals;
  }

  /** The port it listens on; throws while it does not listen. */
  port(): number {
    const address = this.#app?.server.address();
    if (typeof address !== 'object' || address === null) throw new Error('the source is not listening');
    return address.port;
  }

  /** Never rejects: while it cannot listen, it retries in the background (I9). */
  async start(handler: DeliveryHandler): Promise<void> {
    await this.#keys?.start();
    const { clock, entropy, log } = this.#deps;
    this.#listening = new Listening({
      name: this.name,
      bind: () => this.#bind(handler),
      onChange: (problem) => (problem === null ? this.#standing.proven() : this.#standing.lost(problem)),
      clock,
      entropy,
      log,
    });
    await this.#listening.start();
  }

  async stop(): Promise<void> {
    this.#standing.stopped();
    this.#stopping.abort();
    await this.#listening?.stop();
    this.#polling?.cancel();
    await this.#keys?.stop();
    const app = this.#app;
    if (!app) return;
    const closed = app.close();
    await within(this.#deps.clock, STOP_MS, closed, () => app.server.closeAllConnections());
    await closed;
  }

  async #bind(handler: DeliveryHandler): Promise<void> {
    const { gate = OPEN_GATE, log } = this.#deps;
    const { host, port } = this.#options;
    const app = await this.#build();
    this.#serve(app, new Envelopes(this.name, handler, gate));
    const address = { option: `sources.${this.name}.port`, host, port };
    await listening(address, () => app.listen({ host, port }));
    this.#app = app;
    log.info({ event: 'api.listening', source: this.name, host, port: this.port() });
  }

  async #build(): Promise<FastifyInstance> {
    const { default: Fastify } = await import('fastify');
    const limits = {
      requestTimeout: REQUEST_MS,
      headersTimeout: HEAD_MS,
      connectionsCheckingInterval: CHECKING_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
    };
    const files = tlsFilesOf(this.#options);
    // The TLS layer accepts any certificate: login refuses and counts a wrong one.
    const clientRule = { requestCert: files?.clientCaFile !== undefined, rejectUnauthorized: false };
    const tls = files ? { ...(await readTlsFiles(files)), ...clientRule } : null;
    const app = Fastify({
      logger: false,
      bodyLimit: this.#options.max_body,
      forceCloseConnections: 'idle',
      serverFactory: (serve) =>
        tls ? createTlsServer({ ...limits, ...tls }, serve) : createServer(limits, serve),
    });
    this.#guard = this.#newGuard(tls !== null);
    this.#guard.watch(app.server);
    if (files) await this.#follow(app, files);
    return app;
  }

  /** Without TLS all connections are those of one proxy. */
  #newGuard(isTls: boolean): ConnectionGuard {
    const options = this.#options;
    return new ConnectionGuard({
      clock: this.#deps.clock,
      maxConnections: options.max_connections,
      maxPerAddress: isTls ? options.max_connections_per_address : 0,
      maxRatePerAddress: isTls ? options.max_connect_rate_per_address : 0,
      onRefused: (reason, address) => this.#refused(reason, { address }),
    });
  }

  async #follow({ server }: FastifyInstance, files: TlsFiles): Promise<void> {
    if (!('setSecureContext' in server) || typeof server.setSecureContext !== 'function') return;
    const { clock, log } = this.#deps;
    const { setSecureContext } = server;
    const stamp = await stampOfTlsFiles(files);
    const maxAgeMs = this.#options.max_connection_age ?? null;
    const living = new LivingConnections({ files, maxAgeMs, component: 'api', clock, log });
    server.on('secureConnection', (socket) => living.add(socket));
    living.start();
    const stapling = new OcspStapling(server, { files, component: 'api', clock, log });
    await stapling.start();
    server.once('close', () => {
      living.stop();
      void stapling.stop();
    });
    const onReload = () => living.recheck();
    const context = { setSecureContext: (options: object) => void setSecureContext.call(server, options) };
    const follow = tlsFilesFollower(context, stamp, { files, component: 'api', log, onReload });
    this.#polling = clock.every(TLS_FILES_POLL_MS, () => void follow());
  }

  #serve(app: FastifyInstance, envelopes: Envelopes): void {
    app.removeAllContentTypeParsers();
    app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
    app.addHook('onRequest', async (request, reply) => {
      const { clock } = this.#deps;
      const keysOf = (gateway: string) => this.#keys?.of(gateway) ?? [];
      const { audience } = this.#options;
      const login = await logIn(request.raw.socket, request.headers.authorization, {
        keysOf,
        audience,
        clock,
      });
      if ('gateway' in login) {
        this.#senders.set(request.raw, login.gateway);
        endSilentBody(request.raw, this.#deps.bodySilenceMs ?? BODY_SILENCE_MS);
        this.#guard?.loggedIn(request.raw.socket);
        return;
      }
      this.#refused(login.refused, { address: request.ip });
      const body = { error: 'not let in', reason: login.refused };
      // The rest of the request is not read.
      const headers = { 'www-authenticate': 'Bearer', connection: 'close' };
      await reply.code(401).headers(headers).send(body);
    });
    app.post('/v1/envelopes', async (request, reply) => {
      const gateway = this.#senders.get(request.raw) ?? '';
      const bytes = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
      this.#standing.received(1, this.#deps.clock.wallMs());
      const sentAs = sendReasonOf(request.headers['headgate-why']);
      const answer = await envelopes.take(gateway, bytes, sentAs);
      // A dead letter is settled too: only an answer that asks for a retry leaves the message unsettled.
      if (answer.retryAfterS === undefined) this.#standing.settled(1);
      if (answer.status !== 200) this.#refused(refusalOf(answer), { gateway });
      return send(reply, answer);
    });
    this.#serveDownlink(app);
    app.setNotFoundHandler((_request, reply) => reply.code(404).send({ error: 'no such path' }));
    app.setErrorHandler((error, request, reply) => {
      const status = Reflect.get(Object(error), 'statusCode');
      if (status === 413) {
        this.#refused('too-large', { gateway: this.#senders.get(request.raw) ?? '' });
        return reply.code(413).send({ error: 'too large', maxBytes: this.#options.max_body });
      }
      if (typeof status === 'number' && status < 500)
        return reply.code(status).send({ error: 'bad request' });
      this.#log.warn('api.request_failed', { path: request.url, error: errorText(error) });
      return reply.code(500).send({ error: 'the answer could not be made; see the log' });
    });
  }

  #serveDownlink(app: FastifyInstance): void {
    const { receipts, form } = this.#deps;
    const downlink = new Downlink({ receipts, form, log: this.#log });
    app.get<{ Params: { id: string } }>('/v1/gateways/:id/downlink', async (request, reply) => {
      const gateway = this.#senders.get(request.raw) ?? '';
      if (request.params.id !== gatewayOf(gateway, this.#deps.identities ?? {})) {
        this.#refused('foreign-gateway', { gateway, asked: request.params.id });
        return send(reply, { status: 403, body: { error: 'not yours', reason: 'foreign-gateway' } });
      }
      const gone = new AbortController();
      reply.raw.once('close', () => gone.abort());
      const signal = AbortSignal.any([gone.signal, this.#stopping.signal]);
      const answer = await downlink.poll(request.params.id, request.query, signal);
      return send(reply.header('cache-control', 'no-store'), answer);
    });
  }

  #refused(reason: ApiRefusal, who: Record<string, unknown>): void {
    this.#refusals.set(reason, (this.#refusals.get(reason) ?? 0) + 1);
    this.#log.warn('api.refused', { source: this.name, reason, ...who });
  }
}

function tlsFilesOf(options: HttpsSourceOptions): TlsFiles | null {
  const { cert_file: certFile, key_file: keyFile } = options;
  if (certFile === undefined || keyFile === undefined) return null;
  const { client_ca_file: clientCaFile, client_crl_file: clientCrlFile, ocsp_file: ocspFile } = options;
  return { certFile, keyFile, clientCaFile, clientCrlFile, ocspFile };
}

function refusalOf({ status }: Answer): ApiRefusal {
  if (status === 403) return 'foreign-gateway';
  return status === 429 || status === 503 ? 'behind' : 'undecodable';
}

/** A body that comes slowly is read to its end; one that stops is not waited for. */
function endSilentBody(request: IncomingMessage, silenceMs: number): void {
  const { socket } = request;
  if (request.method !== 'POST') return;
  // Called for a request that is not complete; without this listener Node ends the connection in any case.
  request.setTimeout(silenceMs, () => socket.destroy());
  request.once('end', () => socket.setTimeout(0));
}

function send(reply: FastifyReply, { status, body, retryAfterS }: Answer): FastifyReply {
  if (retryAfterS !== undefined) reply.header('retry-after', String(retryAfterS));
  return reply.code(status).send(body ?? undefined);
}
