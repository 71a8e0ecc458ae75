/** Azure IoT Hub as a provider: its options. */
import { z } from 'zod';
import { parseConnectionString } from './connection-string.ts';

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

/** A message is at most 256 KiB with its properties (Azure docs, "IoT Hub quotas and throttling"). */
const MESSAGE_BYTES_MAX = 262_144;
/** Ours are some 250 bytes. */
const PROPERTIES_MARGIN_BYTES = 1024;

export const AZURE_ENVELOPE_BYTES_MAX = MESSAGE_BYTES_MAX - PROPERTIES_MARGIN_BYTES;
