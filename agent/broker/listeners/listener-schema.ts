/**
 * `broker.listeners[]` of agent.yaml: the addresses that devices connect to, and the way they authenticate.
 */
import { z } from 'zod';
import { isLoopback, maxConnectionAge, ocspFile, port } from '../../../shared/config/common.ts';
import { DEVICE_NAME_FIELDS } from '../access/certificate-name.ts';

/** Of these, listeners of other types have none. */
const TLS_FIELDS = [
  'cert_file',
  'key_file',
  'client_ca_file',
  'client_crl_file',
  'ocsp_file',
  'max_connection_age',
] as const;

export const listenerSchema = z
  .strictObject({
    type: z
      .enum(['tcp', 'ws', 'tls'])
      .default('tcp')
      .describe('MQTT over TCP, over WebSocket, or over TLS 1.2 or newer.'),
    host: z.string().min(1).default('127.0.0.1').describe('Address to listen on.'),
    port: port().describe('0 takes a free port.'),
    trusted_network: z
      .boolean()
      .default(false)
      .describe(
        'Required for an address other than loopback without TLS. All hosts on that network can read the passwords; with allow_anonymous, all hosts that reach the listener can publish under any client id that is not of a device.',
      ),
    origins: z
      .array(
        z
          .string()
          .regex(/^https?:\/\/[^/\s]+$/, 'expected an origin such as https://hmi.example.com, without a path')
          .transform((origin) => origin.toLowerCase()),
      )
      .max(100)
      .default([])
      .describe(
        'For ws: origins of web pages that may connect, such as https://hmi.example.com. By default no browser may; other clients need no origin.',
      ),
    cert_file: z
      .string()
      .min(1)
      .optional()
      .describe('For tls: PEM file of the server’s certificate chain; read again when it changes.'),
    key_file: z
      .string()
      .min(1)
      .optional()
      .describe('For tls: PEM file of the certificate’s private key; read again when it changes.'),
    client_ca_file: z
      .string()
      .min(1)
      .optional()
      .describe('For tls: PEM file of the authorities (CAs) whose client certificates are accepted.'),
    client_crl_file: z
      .string()
      .min(1)
      .optional()
      .describe(
        'For tls: PEM file of the revocation lists (CRLs) of these authorities, one for each; read again when it changes. A list that has run out refuses every certificate of its authority.',
      ),
    ocsp_file: ocspFile().optional(),
    max_connection_age: maxConnectionAge().optional(),
    auth: z
      .enum(['password', 'certificate', 'either', 'both'])
      .default('password')
      .describe(
        'For tls: how devices authenticate. both: a certificate and the password of the same device.',
      ),
    device_name: z
      .enum(DEVICE_NAME_FIELDS)
      .default('cn')
      .describe(
        'For tls: the field of a client certificate that holds the device’s name. cn: the common name; san_dns, san_uri, san_email: the single subject alternative name of that kind.',
      ),
  })
  .superRefine((listener, context) => {
    const issue = (path: string, message: string, hint: string): void =>
      context.addIssue({ code: 'custom', path: [path], message, params: { hint } });
    const { type, host, trusted_network: trusted, auth } = listener;
    if (type !== 'ws' && listener.origins.length > 0)
      issue('origins', 'only for type: ws', 'set type: ws, or remove it');
    if (type !== 'tls') {
      if (!trusted && !isLoopback(host)) {
        const hint =
          'use 127.0.0.1 or type: tls, or set trusted_network: true where all hosts on that network may read the passwords';
        issue('host', 'a listener without TLS must bind loopback', hint);
      }
      for (const field of TLS_FIELDS) {
        if (listener[field] !== undefined) issue(field, 'only for type: tls', 'set type: tls, or remove it');
      }
      if (auth !== 'password') issue('auth', 'only for type: tls', 'set type: tls, or remove it');
    } else {
      for (const field of ['cert_file', 'key_file'] as const) {
        if (listener[field] === undefined) issue(field, 'missing', `type: tls needs ${field}`);
      }
      if (auth !== 'password' && listener.client_ca_file === undefined)
        issue('client_ca_file', 'missing', `auth: ${auth} needs the authorities of the client certificates`);
      if (listener.client_crl_file !== undefined && listener.client_ca_file === undefined)
        issue('client_crl_file', 'needs client_ca_file', 'give the authorities, or remove it');
    }
    if (auth === 'password' && listener.device_name !== 'cn')
      issue(
        'device_name',
        'only for listeners that accept certificates',
        'set auth to certificate, either or both',
      );
  });
