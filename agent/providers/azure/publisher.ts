/**
 * Publishes through Azure IoT Hub: MQTT with the vendor's SDK, one device per gateway, one try per publish.
 */
import { readFile } from 'node:fs/promises';
import type { TransportConfig } from 'azure-iot-common';
import { z } from 'zod';
import type { Clock } from '../../../shared/clock.ts';
import { errorText, type Logger } from '../../../shared/log.ts';
import { type Cut, NOT_SENT, type OutboundEnvelope, type Outcome, type Publisher } from '../publisher.ts';
import { Connection } from './connection.ts';
import { parseConnectionString, withGateway } from './connection-string.ts';
import { notConnected } from './outcome.ts';
import { type AzureSdk, loadAzureSdk } from './sdk.ts';
import type { Session } from './session.ts';
import type { TwinLink } from './twin-link.ts';

/** A message is at most 256 KiB with its properties (Azure docs, "IoT Hub quotas and throttling"). */
const MESSAGE_MAX_BYTES = 262_144;
/** Ours are some 250 bytes. */
const PROPERTIES_MARGIN_BYTES = 1024;
const IN_FLIGHT_MAX = 16;
/** A token is good for an hour, and the hub cuts the connection when it is over. */
const SESSION_LIFETIME_MS = 45 * 60_000;

const x509 = z.strictObject({
  host_name: z.string().min(1).describe('The hub, as in name.azure-devices.net.'),
  gateway_host_name: z
    .string()
    .min(1)
    .optional()
    .describe('host or host:port to connect to instead of the hub: an edge hub.'),
  device_id: z.string().min(1).describe('The device’s id in the hub: the common name of its certificate.'),
  cert_file: z.string().min(1).describe('PEM of the certificate; read at every connect.'),
  key_file: z.string().min(1).describe('PEM of its key; read at every connect.'),
});

const credentials = z
  .strictObject({
    connection_string: z
      .string()
      .refine((text) => parseConnectionString(text) !== null, {
        message: 'expected HostName=…;DeviceId=…;SharedAccessKey=… (or SharedAccessSignature=…)',
      })
      .optional()
      .describe(
        'The connection string of the device, as the portal shows it; or with SharedAccessSignature=… in place of the key.',
      ),
    x509: x509.optional().describe('A certificate instead of a key.'),
  })
  .refine((given) => (given.connection_string === undefined) !== (given.x509 === undefined), {
    message: 'give connection_string or x509, and not both',
  });

/** A `providers[]` entry of type `azure`, without what every provider has. */
export const azureOptions = z.object({
  region: z.string().min(1).describe('The Azure region of the hub, such as westeurope.'),
  ca_file: z
    .string()
    .min(1)
    .optional()
    .describe('PEM file of the only authorities to trust, instead of those that Node brings.'),
  device_id: z
    .string()
    .min(1)
    .optional()
    .describe('The device’s id in the hub, in place of the one in the connection string.'),
  credentials,
  next_credentials: credentials
    .optional()
    .describe('Tried when the others are refused or near their end, and used once a publish proved them.'),
});

export type AzureOptions = z.infer<typeof azureOptions>;

export interface AzureDeps {
  clock: Clock;
  log: Logger;
  /** The hub ended a connection in a way that may be its silent word for a limit. */
  onCut?: (cut: Cut) => void;
  /** Who reads the device's twin, over the connections that this makes. */
  twin?: TwinLink | undefined;
  /** How long one connection lives before its token is renewed. */
  sessionLifetimeMs?: number;
}

export async function openAzurePublisher(options: AzureOptions, deps: AzureDeps): Promise<Publisher> {
  return new AzurePublisher(await loadAzureSdk(), options, deps);
}

class AzurePublisher implements Publisher {
  readonly type = 'azure';
  readonly maxEnvelopeBytes = MESSAGE_MAX_BYTES - PROPERTIES_MARGIN_BYTES;
  readonly #connection: Connection;
  readonly #clock: Clock;
  readonly #waiting: Array<() => void> = [];
  #inFlight = 0;

  constructor(sdk: AzureSdk, options: AzureOptions, deps: AzureDeps) {
    const { clock, log, onCut = () => undefined, twin, sessionLifetimeMs = SESSION_LIFETIME_MS } = deps;
    this.#clock = clock;
    this.#connection = new Connection({
      prepare: async () => {
        const device = await readDevice(options);
        if (device instanceof Error) return { unusable: errorText(device) };
        return {
          sdk,
          device,
          ca: options.ca_file === undefined ? null : await readFile(options.ca_file, 'utf8'),
          lifetimeMs: device.sharedAccessKey ? sessionLifetimeMs : null,
        };
      },
      onCut,
      twin,
      clock,
      log,
    });
  }

  publish(message: OutboundEnvelope, deadlineMs: number, signal?: AbortSignal): Promise<Outcome> {
    if (message.bytes.length > this.maxEnvelopeBytes) {
      const detail = `${message.bytes.length} bytes, the most is ${this.maxEnvelopeBytes}`;
      return Promise.resolve({ kind: 'rejected', scope: 'envelope', cause: 'too-large', detail });
    }
    return new Promise((resolve) => {
      const attempt = new Attempt();
      const deadline = this.#clock.setTimer(deadlineMs, () => {
        resolve(attempt.expire(deadlineMs));
      });
      void this.#try(message, attempt, signal).then((outcome) => {
        deadline.cancel();
        resolve(outcome);
      });
    });
  }

  close(): Promise<void> {
    this.#connection.close();
    return Promise.resolve();
  }

  async #try(message: OutboundEnvelope, attempt: Attempt, signal: AbortSignal | undefined): Promise<Outcome> {
    await this.#takeSlot();
    try {
      if (attempt.expired) return notConnected('expired');
      if (signal?.aborted) return NOT_SENT;
      const acquired = await this.#connection.acquire();
      if ('failure' in acquired) return acquired.failure;
      // Too late: sending now would spend money on an answer that nobody waits for.
      if (attempt.expired) return notConnected('expired');
      if (signal?.aborted) return NOT_SENT;
      attempt.sent(acquired.session, this.#clock.monoMs());
      return await acquired.session.send(message);
    } catch (error) {
      return { kind: 'rejected', scope: 'envelope', cause: 'invalid', detail: errorText(error) };
    } finally {
      this.#releaseSlot();
    }
  }

  /**
   * I10: at most so many publishes are with the SDK; the rest wait in order, each inside its own deadline.
   */
  #takeSlot(): Promise<void> {
    if (this.#inFlight === IN_FLIGHT_MAX) return new Promise((resolve) => this.#waiting.push(resolve));
    this.#inFlight += 1;
    return Promise.resolve();
  }

  #releaseSlot(): void {
    const next = this.#waiting.shift();
    if (next) next();
    else this.#inFlight -= 1;
  }
}

/** How far one publish has come: what its deadline means depends on it. */
class Attempt {
  #session: Session | null = null;
  #sentMs = 0;
  #expired: boolean = false;

  get expired(): boolean {
    return this.#expired;
  }

  sent(session: Session, nowMs: number): void {
    this.#session = session;
    this.#sentMs = nowMs;
  }

  expire(deadlineMs: number): Outcome {
    this.#expired = true;
    if (!this.#session) return notConnected(`not connected within ${deadlineMs} ms`);
    this.#session.doubt(this.#sentMs);
    return { kind: 'unknown', cause: 'deadline', detail: `no acknowledgement within ${deadlineMs} ms` };
  }
}

/**
 * Who we are to the hub, with the certificate as it is on disk now; why not, when its files cannot be read.
 */
async function readDevice({ credentials: given, device_id }: AzureOptions): Promise<TransportConfig | Error> {
  if (given.x509) {
    const { host_name, gateway_host_name, device_id: deviceId, cert_file, key_file } = given.x509;
    try {
      const [cert, key] = await Promise.all([readFile(cert_file, 'utf8'), readFile(key_file, 'utf8')]);
      return withGateway({ host: host_name, deviceId, x509: { cert, key } }, gateway_host_name);
    } catch (error) {
      return new Error(`no certificate or key: ${errorText(error)}`);
    }
  }
  const device = parseConnectionString(given.connection_string ?? '');
  // The schema has refused what does not parse.
  if (!device) throw new Error('the connection string names no hub, device or key');
  return device_id === undefined ? device : { ...device, deviceId: device_id };
}
