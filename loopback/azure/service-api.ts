/**
 * The twin part of the hub's service API: HTTPS with a token of a policy ("Devices - Get Twin" and "Devices -
 * Update Twin" of the IoT Hub service's REST API; errors after "IoT Hub API common error codes"). Transport
 * faults do not affect it; the hub's own faults do.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { Clock } from '../../shared/clock.ts';
import type { Logger } from '../../shared/log.ts';
import type { Service } from '../../shared/service.ts';
import type { KeyAndCertificate } from '../ca.ts';
import type { FaultName } from '../faults.ts';
import { type DeviceRegistry, HUB_HOST } from './devices.ts';
import { verifySas } from './sas.ts';
import { isObject, type JsonObject, type JsonValue, parseJson, type Twins } from './twins.ts';

export interface ServiceApiOptions {
  policy: { name: string; key: string };
  devices: DeviceRegistry;
  twins: Twins;
  /** Called after a change of desired properties; `version` is the new one. */
  onDesired: (device: string, patch: JsonObject, version: number) => void;
  server: KeyAndCertificate;
  /** 0 takes a free port at `start`. */
  port: number;
  clock: Clock;
  log: Logger;
}

interface Answer {
  status: number;
  body: JsonValue;
}

/** Larger than any twin, so that a twin over the limit gets an answer. */
const BODY_BYTES_MAX = 256 * 1024;
const FAULTS: ReadonlyMap<FaultName, Answer> = new Map([
  ['throttle', refusal(429, 'ThrottlingException')],
  ['error', refusal(500, 'ServerError')],
  ['unauthorized', refusal(401, 'IotHubUnauthorizedAccess')],
]);

export class ServiceApi implements Service {
  readonly #options: ServiceApiOptions;
  #server: Server | null = null;
  #port: number;
  #fault: FaultName | null = null;
  #isBasic: boolean = false;

  constructor(options: ServiceApiOptions) {
    this.#options = options;
    this.#port = options.port;
  }

  /** On 127.0.0.1. */
  get port(): number {
    return this.#port;
  }

  start(): Promise<void> {
    const { cert, key } = this.#options.server;
    const server = createServer({ cert, key }, (request, response) => void this.#serve(request, response));
    // A client may abort its handshake.
    server.on('tlsClientError', () => undefined);
    this.#server = server;
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen(this.#port, '127.0.0.1', () => {
        const address = server.address();
        if (address && typeof address === 'object') this.#port = address.port;
        resolve();
      });
    });
  }

  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = null;
    server?.closeAllConnections();
    if (server) await new Promise<void>((resolve) => server.close(() => resolve()));
  }

  setFault(name: FaultName | null): void {
    this.#fault = name;
  }

  setBasicTier(isBasic: boolean): void {
    this.#isBasic = isBasic;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await readBody(request);
    if (body === null) {
      request.socket.destroy();
      return;
    }
    const { status, body: said } = this.#answer(request, body);
    this.#options.log.debug({ event: 'loopback.azure.service', method: request.method, status });
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(JSON.stringify(said));
  }

  #answer(request: IncomingMessage, body: string): Answer {
    const fault = this.#fault === null ? undefined : FAULTS.get(this.#fault);
    if (fault) return fault;
    const { policy, devices, clock } = this.#options;
    const key = Buffer.from(policy.key, 'base64');
    const token = verifySas(request.headers.authorization ?? '', key, clock.wallMs());
    if (token?.resource !== HUB_HOST || token.keyName !== policy.name)
      return refusal(401, 'IotHubUnauthorizedAccess');
    const { pathname, searchParams } = new URL(request.url ?? '/', `https://${HUB_HOST}`);
    if (!searchParams.has('api-version')) return refusal(400, 'InvalidProtocolVersion');
    if (this.#isBasic) return refusal(403, 'OperationNotAvailableInCurrentTier');
    const device = /^\/twins\/([^/]+)$/.exec(pathname)?.[1];
    if (device === undefined || !devices.has(device)) return refusal(404, 'DeviceNotFound');
    if (request.method === 'GET') return this.#document(device);
    return request.method === 'PATCH' ? this.#patch(device, body) : refusal(405, 'InvalidOperation');
  }

  #patch(device: string, body: string): Answer {
    const { twins, onDesired } = this.#options;
    const update = parseJson(body);
    const properties = isObject(update) ? update['properties'] : undefined;
    const desired = isObject(properties) ? properties['desired'] : undefined;
    if (!isObject(desired)) return refusal(400, 'ArgumentInvalid');
    const problem = twins.problem(device, 'desired', desired);
    if (problem === 'too-large') return refusal(413, 'RequestEntityTooLarge');
    if (problem !== null) return refusal(400, 'ArgumentInvalid');
    onDesired(device, desired, twins.patch(device, 'desired', desired));
    return this.#document(device);
  }

  #document(device: string): Answer {
    const { desired, reported } = this.#options.twins.read(device);
    return { status: 200, body: { deviceId: device, properties: { desired, reported } } };
  }
}

function refusal(status: number, name: string): Answer {
  return {
    status,
    body: { Message: `ErrorCode:${name};refused`, ExceptionMessage: 'Tracking ID:loopback' },
  };
}

/** Null when the body is too long or the client has disconnected. */
async function readBody(request: IncomingMessage): Promise<string | null> {
  let body = '';
  try {
    for await (const chunk of request.setEncoding('utf8')) {
      body += chunk;
      if (body.length > BODY_BYTES_MAX) return null;
    }
  } catch {
    return null; // The client has disconnected.
  }
  return body;
}
