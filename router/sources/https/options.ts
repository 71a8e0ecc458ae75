/** The options of a `sources[]` entry of type `https`. */
import { z } from 'zod';
import { isLoopback, maxConnectionAge, ocspFile, port } from '../../../shared/config/common.ts';
import { byteSize } from '../../../shared/config/kinds.ts';
import { TOKEN_AUDIENCE } from '../../../shared/gateway-token.ts';

const file = z.string().min(1).optional();

/** The schema without the fields that all entries share. */
export const httpsSourceOptions = z
  .strictObject({
    host: z.string().min(1).default('127.0.0.1').describe('Address to listen on.'),
    port: port().describe('0 takes a free port.'),
    cert_file: file.describe(
      'PEM of the server’s certificate chain; read again when it changes. Without it plain HTTP, on loopback only: for a proxy that ends TLS.',
    ),
    key_file: file.describe('PEM of its key.'),
    client_ca_file: file.describe(
      'PEM of the authorities whose client certificates are taken; the common name is the gateway’s name.',
    ),
    client_crl_file: file.describe(
      'PEM of the revocation lists (CRLs) of these authorities, one for each; read again when it changes. A list that has run out refuses every certificate of its authority.',
    ),
    ocsp_file: ocspFile().optional(),
    max_connection_age: maxConnectionAge().optional(),
    gateways_file: file.describe(
      'YAML with the public keys of gateways that sign tokens; read again when it changes.',
    ),
    audience: z
      .string()
      .min(1)
      .default(TOKEN_AUDIENCE)
      .describe('Which `aud` tokens must name: another for each ledger.'),
    max_body: byteSize()
      .refine((bytes) => bytes >= 1024 && bytes <= 16 * 2 ** 20, 'expected 1KiB to 16MiB')
      .default(2 ** 20)
      .describe('The largest envelope that is taken; a larger one is answered with 413.'),
    max_connections: z
      .int()
      .min(1)
      .max(1_000_000)
      .default(10_000)
      .describe(
        'Most open connections; further connections are refused. The last fifth is for addresses from which a gateway has logged in.',
      ),
    max_connections_per_address: z
      .int()
      .min(0)
      .max(1_000_000)
      .default(1000)
      .describe('Most open connections of one address, or of one IPv6 /64; only with TLS. 0: no limit.'),
    max_connect_rate_per_address: z
      .int()
      .min(0)
      .max(1_000_000)
      .default(100)
      .describe(
        'Connections that one address may begin in a second, four seconds’ worth at once; only with TLS. 0: no limit.',
      ),
  })
  .superRefine((options, context) => {
    const { host, cert_file, key_file, client_ca_file, gateways_file } = options;
    const issue = (path: string, message: string, hint: string): void =>
      context.addIssue({ code: 'custom', path: [path], message, params: { hint } });
    if ((cert_file === undefined) !== (key_file === undefined)) {
      issue(cert_file === undefined ? 'cert_file' : 'key_file', 'missing', 'give both, or neither');
    }
    if (cert_file === undefined && !isLoopback(host))
      issue('cert_file', 'a listener without TLS must bind loopback', 'give cert_file and key_file');
    if (cert_file === undefined && client_ca_file !== undefined)
      issue('client_ca_file', 'needs TLS', 'give cert_file and key_file');
    for (const field of ['ocsp_file', 'max_connection_age'] as const) {
      if (cert_file === undefined && options[field] !== undefined)
        issue(field, 'needs TLS', 'give cert_file and key_file');
    }
    if (client_ca_file === undefined && options.client_crl_file !== undefined)
      issue('client_crl_file', 'needs client_ca_file', 'give the authorities, or remove it');
    if (client_ca_file === undefined && gateways_file === undefined)
      issue('gateways_file', 'no gateway could log in', 'give client_ca_file, gateways_file, or both');
  });

export type HttpsSourceOptions = z.output<typeof httpsSourceOptions>;
