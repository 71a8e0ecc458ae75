/**
 * Publishes through Azure IoT Hub: MQTT with the vendor's SDK, one device per gateway, one try per publish.
 */
import { readFile } from 'node:fs/promises';
import type { TransportConfig } from 'azure-iot-common';
import type { Clock } from '../../../shared/clock.ts';
import { errorText, type Logger } from '../../../shared/log.ts';
import type { Cut, OutboundEnvelope, Outcome, PublishAttempt, Publisher } from '../publisher.ts';
import { isClogging } from '../silent-tries.ts';
import { Tries } from '../tries.ts';
import type { TwinLink } from '../twin-link.ts';
import { Connection } from './connection.ts';
import { parseConnectionString, withGateway } from './connection-string.ts';
import { AZURE_ENVELOPE_BYTES_MAX, type AzureOptions } from './options.ts';
import { type AzureSdk, loadAzureSdk } from './sdk.ts';
import type { Session } from './session.ts';
import { proxyLeftAside } from './way.ts';

const IN_FLIGHT_MAX = 16;
/** A token is valid for an hour, and the hub cuts the connection at its expiry. */
const SESSION_LIFETIME_MS = 45 * 60_000;

export interface AzureDeps {
  clock: Clock;
  log: Logger;
  /** The hub ended a connection in a way that may signal a limit. */
  onCut?: (cut: Cut) => void;
  /** The reader of the device's twin over this publisher's connections. */
  twin?: TwinLink | undefined;
  /** Lifetime of a connection before its token is renewed. */
  sessionLifetimeMs?: number;
}

export async function openAzurePublisher(options: AzureOptions, deps: AzureDeps): Promise<Publisher> {
  const proxy = proxyLeftAside(options);
  if (proxy !== null) deps.log.warn({ event: 'azure.proxy_not_used', proxy });
  return new AzurePublisher(await loadAzureSdk(), options, deps);
}

class AzurePublisher implements Publisher {
  readonly type = 'azure';
  readonly maxEnvelopeBytes = AZURE_ENVELOPE_BYTES_MAX;
  readonly #connection: Connection;
  readonly #clock: Clock;
  readonly #tries: Tries;

  constructor(sdk: AzureSdk, options: AzureOptions, deps: AzureDeps) {
    const { clock, log, onCut = () => undefined, twin, sessionLifetimeMs = SESSION_LIFETIME_MS } = deps;
    this.#clock = clock;
    this.#tries = new Tries(clock, IN_FLIGHT_MAX);
    this.#connection = new Connection({
      prepare: async () => {
        const device = await readDevice(options);
        if (device instanceof Error) return { unusable: errorText(device) };
        return {
          sdk,
          device,
          ca: options.ca_file === undefined ? null : await readFile(options.ca_file, 'utf8'),
          network: options,
          lifetimeMs: device.sharedAccessKey ? sessionLifetimeMs : null,
        };
      },
      onCut,
      twin,
      clock,
      log,
    });
  }

  async publish(message: OutboundEnvelope, attempt: PublishAttempt): Promise<Outcome> {
    if (message.bytes.length > this.maxEnvelopeBytes) {
      const detail = `${message.bytes.length} bytes, the most is ${this.maxEnvelopeBytes}`;
      return { kind: 'rejected', scope: 'envelope', cause: 'too-large', detail };
    }
    let used: { session: Session; sentMs: number } | null = null;
    const outcome = await this.#tries.run(attempt, async (one) => {
      one.reach(() => this.#connection.phase);
      const acquired = await this.#connection.acquire();
      if ('failure' in acquired) return acquired.failure;
      // Sending after the try is over would cost money for an answer that is not used.
      if (!one.leaves(false)) return one.over;
      used = { session: acquired.session, sentMs: this.#clock.monoMs() };
      return this.#send(acquired.session, message);
    });
    if (used) doubt(used, outcome, message.bytes.length);
    return outcome;
  }

  close(): Promise<void> {
    this.#tries.close();
    this.#connection.close();
    return Promise.resolve();
  }

  async #send(session: Session, message: OutboundEnvelope): Promise<Outcome> {
    try {
      return await session.send(message);
    } catch (error) {
      return { kind: 'rejected', scope: 'envelope', cause: 'invalid', detail: errorText(error) };
    }
  }
}

/** A publish without an answer in time puts its connection in doubt. */
function doubt(
  { session, sentMs }: { session: Session; sentMs: number },
  outcome: Outcome,
  bytes: number,
): void {
  const isMissed = outcome.kind === 'unknown' && outcome.cause === 'deadline';
  if (isMissed) session.doubt(sentMs, isClogging(outcome, bytes));
}

/**
 * The device's identity, with the certificate as it is on disk now; an Error when its files are not readable.
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
  // The schema has validated the connection string.
  if (!device) throw new Error('the connection string names no hub, device or key');
  return device_id === undefined ? device : { ...device, deviceId: device_id };
}
