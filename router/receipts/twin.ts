/**
 * Receipts through Azure: a desired property of the twin of the device with the gateway's name, where the
 * newest replaces the one before.
 */
import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import type { Clock } from '../../shared/clock.ts';
import { errorText } from '../../shared/log.ts';
import { networkAccess } from '../../shared/network/options.ts';
import { timeLimit } from '../../shared/time-limit.ts';
import { TWIN_RECEIPT, TWIN_RECEIPT_BYTES_MAX, twinPieces } from '../../shared/twin-receipt.ts';
import type { Carriage, Carried, Carrier } from './carrier.ts';
import { type HubAnswer, HubClient } from './hub-client.ts';
import { parsePolicy } from './hub-token.ts';

/** A `receipts.through[]` entry of type `azure`, without the options of all types. */
export const twinOptions = z.strictObject({
  ...networkAccess,
  ca_file: z
    .string()
    .min(1)
    .optional()
    .describe('PEM file of the only certificate authorities to trust, instead of those in Node.js.'),
  credentials: z
    .strictObject({
      connection_string: z
        .string()
        .refine((text) => parsePolicy(text) !== null, {
          message: 'expected HostName=…;SharedAccessKeyName=…;SharedAccessKey=…',
        })
        .describe('The connection string of a policy of the hub that has ServiceConnect.'),
    })
    .describe('Credentials of the hub’s service API.'),
});

export type TwinOptions = z.output<typeof twinOptions>;

/** "Devices - Update Twin" of the IoT Hub service's REST API. */
const API_VERSION = '2021-04-12';
const SEND_MS = 10_000;
/** Refusals of this gateway's receipt: invalid, not allowed, no such device, twin too large. */
const REFUSED = new Set([400, 403, 404, 413]);
/**
 * Failures of the hub with the same status ("IoT Hub API common error codes"): quota used up, a tier without
 * twins, no such hub.
 */
const OF_THE_HUB = /QuotaExceeded|403002|CurrentTier|403010|IotHubNotFound/i;
const NO_TWINS = /CurrentTier|403010/i;

export class TwinCarrier implements Carrier {
  readonly bytesMax = TWIN_RECEIPT_BYTES_MAX;
  readonly #options: TwinOptions;
  readonly #clock: Clock;
  /** One client for all requests. */
  #client: Promise<HubClient> | null = null;

  /** Connects with the first receipt. */
  constructor(options: TwinOptions, { clock }: { clock: Clock }) {
    this.#options = options;
    this.#clock = clock;
  }

  async send({ gateway, text }: Carriage, signal: AbortSignal): Promise<Carried> {
    const limit = timeLimit(this.#clock, SEND_MS, signal);
    try {
      const client = await this.#opened();
      const path = twinPath(gateway);
      const desired = { [TWIN_RECEIPT]: twinPieces(text) };
      const body = JSON.stringify({ properties: { desired } });
      return carried(await client.patch(path, body, limit.signal));
    } catch (error) {
      const problem = limit.isOver ? `no answer in ${SEND_MS} ms` : errorText(error);
      return { kind: 'failed', problem };
    } finally {
      limit.end();
    }
  }

  async close(): Promise<void> {
    const client = this.#client;
    this.#client = null;
    // A client that failed to open needs no closing.
    await client?.then(
      (open) => open.close(),
      () => undefined,
    );
  }

  async #opened(): Promise<HubClient> {
    this.#client ??= openHub(this.#options, this.#clock).then(({ hub }) => hub);
    try {
      return await this.#client;
    } catch (error) {
      this.#client = null;
      throw error;
    }
  }
}

/** The twin of a device in the hub's service API. */
export function twinPath(device: string): string {
  return `/twins/${encodeURIComponent(device)}?api-version=${API_VERSION}`;
}

export interface OpenHub {
  hub: HubClient;
  /** host, or host:port */
  address: string;
  /** PEM; null for the usual authorities. */
  ca: string | null;
}

/** Rejects when `ca_file` is unreadable. */
export async function openHub(options: TwinOptions, clock: Clock): Promise<OpenHub> {
  const { ca_file: caFile, credentials } = options;
  const policy = parsePolicy(credentials.connection_string);
  // The schema has refused what does not parse.
  if (!policy) throw new Error('the connection string names no hub, policy or key');
  const ca = caFile === undefined ? null : await readFile(caFile, 'utf8');
  const hub = new HubClient({ policy, ca, network: options, clock });
  return { hub, address: policy.address, ca };
}

function carried({ status, said }: HubAnswer): Carried {
  if (status >= 200 && status < 300) return { kind: 'sent' };
  const isRefused = REFUSED.has(status) && !OF_THE_HUB.test(said);
  const hint = NO_TWINS.test(said) ? ': a hub of the basic tier has no twins' : '';
  const problem = `HTTP ${status}${said === '' ? '' : ` ${said}`}${hint}`;
  return { kind: isRefused ? 'refused' : 'failed', problem };
}
