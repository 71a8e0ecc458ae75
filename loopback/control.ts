/**
 * The control API of the loopback clouds: their meters and their faults. Only on loopback, without
 * credentials.
 */
import Fastify, { type FastifyInstance } from 'fastify';
import { z } from 'zod';
import { listening } from '../shared/config/start-check.ts';
import type { Service } from '../shared/service.ts';
import type { Cloud } from './cloud.ts';
import { FAULT_NAMES, fault } from './faults.ts';

const faultBody = z.strictObject({
  fault: z.enum(FAULT_NAMES),
  latencyMs: z.number().min(0).optional(),
  jitterMs: z.number().min(0).optional(),
  periodMs: z.number().min(50).optional(),
  perSecond: z.number().min(0).optional(),
  bothSides: z.boolean().optional(),
});

const configQuery = z.object({ gateway: z.string().min(1) });

interface ControlServerOptions {
  clouds: readonly Cloud[];
  /** 0 takes a free port. */
  port: number;
}

/**
 * Routes: `GET /v1/clouds`; `PUT /v1/clouds/:name/fault` with `{fault, latencyMs?, jitterMs?, periodMs?,
 * perSecond?, bothSides?}`; `DELETE /v1/clouds/:name/fault`; `GET /v1/clouds/:name/config?gateway=` for the
 * entries of agent.yaml and router.yaml.
 */
export class ControlServer implements Service {
  readonly #port: number;
  readonly #app: FastifyInstance;

  constructor({ clouds, port }: ControlServerOptions) {
    this.#port = port;
    this.#app = routes(clouds);
  }

  async start(): Promise<void> {
    const address = { option: '--control-port', host: '127.0.0.1', port: this.#port };
    await listening(address, () => this.#app.listen({ host: address.host, port: address.port }));
  }

  async stop(): Promise<void> {
    await this.#app.close();
  }

  /** The bound port; throws before `start`. */
  get port(): number {
    const address = this.#app.server.address();
    if (address === null || typeof address === 'string')
      throw new Error('the control server is not listening');
    return address.port;
  }
}

function routes(clouds: readonly Cloud[]): FastifyInstance {
  const app = Fastify({ logger: false, forceCloseConnections: true });
  const view = (cloud: Cloud) => ({ name: cloud.name, fault: cloud.fault(), meter: cloud.meter() });
  const find = (params: unknown): Cloud | undefined => {
    const { name } = z.object({ name: z.string() }).parse(params);
    return clouds.find((cloud) => cloud.name === name);
  };
  const names = clouds.map((cloud) => cloud.name).join(', ');
  const unknown = { error: `no such cloud; there are ${names}` };

  app.get('/v1/clouds', () => clouds.map(view));
  app.get('/v1/clouds/:name/config', (request, reply) => {
    const cloud = find(request.params);
    const query = configQuery.safeParse(request.query);
    if (!cloud) return reply.code(404).send(unknown);
    if (!query.success) return reply.code(400).send({ error: 'the query needs gateway=<name>' });
    return { agent: cloud.agentConfig(query.data.gateway), router: cloud.routerConfig() };
  });
  app.put('/v1/clouds/:name/fault', async (request, reply) => {
    const cloud = find(request.params);
    if (!cloud) return reply.code(404).send(unknown);
    const body = faultBody.safeParse(request.body);
    if (!body.success) return reply.code(400).send({ error: z.prettifyError(body.error) });
    const { fault: name, latencyMs, jitterMs, periodMs, perSecond, bothSides } = body.data;
    await cloud.setFault(
      fault(name, {
        ...(latencyMs === undefined ? {} : { latencyMs }),
        ...(jitterMs === undefined ? {} : { jitterMs }),
        ...(periodMs === undefined ? {} : { periodMs }),
        ...(perSecond === undefined ? {} : { perSecond }),
        ...(bothSides === undefined ? {} : { bothSides }),
      }),
    );
    return view(cloud);
  });
  app.delete('/v1/clouds/:name/fault', async (request, reply) => {
    const cloud = find(request.params);
    if (!cloud) return reply.code(404).send(unknown);
    await cloud.setFault(null);
    return view(cloud);
  });

  return app;
}
