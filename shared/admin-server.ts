/**
 * The local HTTP server of the agent and of the router: `/healthz` (the process is alive), `/readyz` (every
 * named check passes), `/metrics` (Prometheus), and JSON GET routes. It binds loopback by default, asks for a
 * token where one is configured (admin-login.ts), and accepts changes only from this machine
 * (admin-changes.ts). Its failures never stop the data path (I9).
 */

import { hostname } from 'node:os';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { collectDefaultMetrics, type Registry } from 'prom-client';
import { changeRefusal, readRefusal } from './admin-changes.ts';
import { AdminLogin } from './admin-login.ts';
import type { AuditLog, Change } from './audit/audit-log.ts';
import { USER_HEADER } from './audit/caller.ts';
import { HttpAudit } from './audit/http-changes.ts';
import type { Clock } from './clock.ts';
import { listening } from './config/start-check.ts';
import type { Entropy } from './entropy.ts';
import { Listening } from './listening.ts';
import { errorText, type Logger } from './log.ts';
import type { Service } from './service.ts';
import { within } from './within.ts';

/** Open connections; further ones are refused. */
const CONNECTIONS_MAX = 64;
/** For the head of a request, from the connection on: a silent connection ends. */
const HEAD_MS = 5000;
/** Limit for each readiness check: the client has a limit too. */
const CHECK_MS = 3000;

/** Null when ready, otherwise the reason; a throw also means not ready. */
type ReadinessCheck = () => string | null | Promise<string | null>;

export interface RouteAnswer {
  status: 200 | 400 | 404 | 503;
  /** Sent as JSON. */
  body: unknown;
}

export type AdminRoute = (query: Readonly<Record<string, string>>) => RouteAnswer | Promise<RouteAnswer>;

export type ChangeRequest =
  | { method: 'PUT'; body: unknown }
  | { method: 'DELETE'; query: Readonly<Record<string, string>> };

/** The changes of one path. */
export interface AdminChanges {
  /** The audit log's note of a request; null for one that changes nothing, or is no valid request. */
  noted(request: ChangeRequest): Omit<Change, 'who'> | null;
  /** Called with the parsed body; undefined without one. */
  put(body: unknown): Promise<RouteAnswer>;
  delete: AdminRoute;
}

export interface AdminServerOptions {
  host: string;
  /** 0 takes a free port. */
  port: number;
  /** Further names under which clients may ask. Default: none. */
  host_names?: readonly string[];
  /** Without one, no login is asked for. */
  token?: string | undefined;
  checks: Readonly<Record<string, ReadinessCheck>>;
  registry: Registry;
  /** Routes by path, for example `/v1/status`. */
  routes: Readonly<Record<string, AdminRoute>>;
  /** Changes by path, besides the path's route. */
  changes?: Readonly<Record<string, AdminChanges>>;
  /** Notes the changes. Default: nothing notes them. */
  audit?: AuditLog;
  clock: Clock;
  entropy: Entropy;
  log: Logger;
}

type FastifyApp = Awaited<ReturnType<typeof buildApp>>;

export class AdminServer implements Service {
  readonly #options: AdminServerOptions;
  readonly #listening: Listening;
  #app: FastifyApp | null = null;

  constructor(options: AdminServerOptions) {
    this.#options = options;
    const { clock, entropy, log } = options;
    this.#listening = new Listening({ name: 'admin', bind: () => this.#bind(), clock, entropy, log });
  }

  /** Never rejects: while the address is in use, the server retries in the background (I9). */
  start(): Promise<void> {
    return this.#listening.start();
  }

  async stop(): Promise<void> {
    await this.#listening.stop();
    await this.#app?.close();
    this.#app = null;
  }

  /** The bound port; throws while the server does not listen. */
  port(): number {
    const address = this.#app?.server.address();
    if (typeof address !== 'object' || address === null) throw new Error('the admin server is not listening');
    return address.port;
  }

  async #bind(): Promise<void> {
    const { host, port } = this.#options;
    const app = await buildApp(this.#options);
    await listening({ option: 'admin.port', host, port }, () => app.listen({ host, port }));
    this.#app = app;
  }
}

async function buildApp(options: AdminServerOptions) {
  const { checks, registry, routes, clock, log } = options;
  const hostNames = [hostname(), ...(options.host_names ?? [])];
  const { default: Fastify } = await import('fastify');
  const app = Fastify({
    logger: false,
    forceCloseConnections: true,
    bodyLimit: 1024,
    requestTimeout: 10_000,
    http: { headersTimeout: HEAD_MS, connectionsCheckingInterval: HEAD_MS / 2 },
  });
  app.server.maxConnections = CONNECTIONS_MAX;
  app.addHook('onRequest', async (request, reply) => {
    const refusal = readRefusal(request.headers, hostNames);
    if (refusal !== null) return reply.code(403).send({ error: refusal });
  });
  if (options.token !== undefined) addLogin(app, new AdminLogin(options.token, options));
  // The process's own metrics keep the names that Prometheus gives them in every language: process_*,
  // nodejs_*.
  if (registry.getSingleMetric('process_cpu_seconds_total') === undefined)
    collectDefaultMetrics({ register: registry });

  app.get('/healthz', () => ({ status: 'ok' }));
  app.get('/readyz', async (request, reply) => {
    const failing = await failingChecks(checks, clock);
    const ready = Object.keys(failing).length === 0;
    const status = ready ? 'ready' : 'not ready';
    return reply.code(ready ? 200 : 503).send(mayRead(request, options) ? { status, failing } : { status });
  });
  app.get('/metrics', async (_request, reply) =>
    reply.type(registry.contentType).send(await registry.metrics()),
  );
  for (const [path, route] of Object.entries(routes)) {
    app.get(path, async (request, reply) => {
      const { status, body } = await route(lastValues(request.query));
      return reply.code(status).send(body);
    });
  }
  addChanges(app, options);
  app.setNotFoundHandler((_request, reply) => reply.code(404).send({ error: 'no such path' }));
  app.setErrorHandler((error, request, reply) => {
    const status = error instanceof Error && 'statusCode' in error ? Number(error.statusCode) : 500;
    // The body is too large or not JSON: the client's error.
    if (status >= 400 && status < 500) return reply.code(status).send({ error: errorText(error) });
    log.warn({ event: 'admin.request_failed', path: request.url, error: errorText(error) });
    return reply.code(500).send({ error: 'the answer could not be made; see the log' });
  });
  return app;
}

/** Paths of probes, without a login: `/readyz` then tells no reason. */
const PROBED: readonly string[] = ['/healthz', '/readyz'];

/** Ends every request without the token, but for those of probes. */
function addLogin(app: FastifyInstance, login: AdminLogin): void {
  app.addHook('onRequest', async (request, reply) => {
    const { headers, ip } = request;
    const isProbe = headers.authorization === undefined && PROBED.includes(request.routeOptions.url ?? '');
    if (isProbe) return;
    const result = await login.check({
      authorization: headers.authorization,
      ip,
      socket: request.raw.socket,
    });
    if (result !== 'ok') return refuseLogin(reply, result);
  });
}

function refuseLogin(reply: FastifyReply, result: 'none' | 'wrong' | 'limited'): FastifyReply {
  // A connection has one try.
  reply.header('connection', 'close');
  if (result === 'limited')
    return reply.code(429).header('retry-after', '60').send({ error: 'too many wrong tokens' });
  const schemes = ['Basic realm="headgate", charset="UTF-8"', 'Bearer realm="headgate"'];
  const error =
    result === 'none' ? 'log in with the token of admin.token' : 'this is not the token of admin.token';
  return reply.code(401).header('www-authenticate', schemes).send({ error });
}

/** A request with the header has passed the login. */
function mayRead({ headers }: FastifyRequest, { token }: AdminServerOptions): boolean {
  return token === undefined || headers.authorization !== undefined;
}

function addChanges(
  app: FastifyInstance,
  { changes = {}, audit: auditLog, clock, log }: AdminServerOptions,
): void {
  const audit = auditLog && new HttpAudit({ log: auditLog, clock, logger: log });
  for (const [path, change] of Object.entries(changes)) {
    app.route({
      method: ['PUT', 'DELETE'],
      url: path,
      preParsing: async (request, reply) => {
        const refusal = changeRefusal(request);
        if (refusal !== null) await reply.code(403).send({ error: refusal });
      },
      handler: async (request, reply) => {
        const asked: ChangeRequest =
          request.method === 'PUT'
            ? { method: 'PUT', body: request.body }
            : { method: 'DELETE', query: lastValues(request.query) };
        const work = async (): Promise<RouteAnswer> =>
          asked.method === 'PUT' ? change.put(asked.body) : change.delete(asked.query);
        const named = change.noted(asked);
        const peer = {
          address: request.ip,
          ports: [request.socket.remotePort, request.socket.localPort] as const,
          says: request.headers[USER_HEADER],
        };
        const { status, body } =
          named === null || !audit
            ? await work()
            : await audit.around(named, peer, work, (answer) => answer.status === 200);
        return reply.code(status).send(body);
      },
    });
  }
}

/** The failing checks with their reasons. All checks run in parallel, each with a time limit. */
async function failingChecks(
  checks: AdminServerOptions['checks'],
  clock: Clock,
): Promise<Record<string, string>> {
  const results = await Promise.all(
    Object.entries(checks).map(async ([name, check]): Promise<[string, string | null]> => {
      try {
        const passed = Promise.resolve(check());
        return [name, await within(clock, CHECK_MS, passed, () => `no answer in ${CHECK_MS} ms`)];
      } catch (error) {
        return [name, errorText(error)];
      }
    }),
  );
  return Object.fromEntries(results.filter((result): result is [string, string] => result[1] !== null));
}

/** The last value of a repeated parameter counts. */
function lastValues(query: unknown): Record<string, string> {
  const entries = Object.entries(Object(query)).map(([name, value]) => [
    name,
    String([value].flat().at(-1) ?? ''),
  ]);
  return Object.fromEntries(entries);
}
