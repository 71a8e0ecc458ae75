/** Options of Azure IoT Hub as a provider. */
import { z } from 'zod';
import { NO_PROXY, networkAccess } from '../../../shared/network/options.ts';
import { parseConnectionString } from './connection-string.ts';

const x509 = z.strictObject({
  host_name: z.string().min(1).describe('Host name of the hub: name.azure-devices.net.'),
  gateway_host_name: z
    .string()
    .min(1)
    .optional()
    .describe('host or host:port of an edge hub to connect to instead of the hub.'),
  device_id: z.string().min(1).describe('Id of the device in the hub: the common name of its certificate.'),
  cert_file: z.string().min(1).describe('PEM file of the certificate; read at every connect.'),
  key_file: z.string().min(1).describe('PEM file of the certificate’s private key; read at every connect.'),
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
        'Connection string of the device from the portal; SharedAccessSignature=… may replace the key.',
      ),
    x509: x509.optional().describe('A certificate instead of a key.'),
  })
  .refine((given) => (given.connection_string === undefined) !== (given.x509 === undefined), {
    message: 'give connection_string or x509, and not both',
  });

/** A `providers[]` entry of type `azure`, without the common options. */
export const azureOptions = z.object({
  region: z.string().min(1).describe('The Azure region of the hub, such as westeurope.'),
  ca_file: z
    .string()
    .min(1)
    .optional()
    .describe('PEM file of the only certificate authorities to trust, instead of those in Node.js.'),
  device_id: z
    .string()
    .min(1)
    .optional()
    .describe('Id of the device in the hub; replaces the id in the connection string.'),
  credentials: credentials.describe('Connection string or certificate of the device.'),
  websocket: z
    .boolean()
    .default(false)
    .describe(
      'MQTT over WebSocket on port 443 in place of 8883; also used with every proxy. Not for certificates.',
    ),
  ...networkAccess,
  next_credentials: credentials
    .optional()
    .describe(
      'Tried when the present credentials are refused or near their expiry; used after an accepted publish.',
    ),
});

/** The vendor's WebSocket endpoint takes tokens, no client certificates. */
export function azureNetworkProblem(
  { websocket, proxy, credentials, next_credentials: next }: AzureOptions,
  context: z.RefinementCtx,
): void {
  if (credentials.x509 === undefined && next?.x509 === undefined) return;
  const path = proxy !== undefined && proxy !== NO_PROXY ? 'proxy' : websocket ? 'websocket' : null;
  if (path === null) return;
  const message = 'a certificate does not go through a WebSocket, which this needs';
  context.addIssue({ code: 'custom', path: [path], message, params: { hint: 'give connection_string' } });
}

export type AzureOptions = z.infer<typeof azureOptions>;

/** Largest message with its properties: 256 KiB (Azure docs, "IoT Hub quotas and throttling"). */
const MESSAGE_BYTES_MAX = 262_144;
/** Headgate's properties take about 250 bytes. */
const PROPERTIES_MARGIN_BYTES = 1024;

export const AZURE_ENVELOPE_BYTES_MAX = MESSAGE_BYTES_MAX - PROPERTIES_MARGIN_BYTES;
