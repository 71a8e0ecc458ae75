/** `broker.listeners[]` of agent.yaml: where devices connect, and how they show who they are. */
import { z } from 'zod';
import { isLoopback, port } from '../../../shared/config/common.ts';
import { DEVICE_NAME_FIELDS } from '../access/certificate-name.ts';

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
        'Needed for an address other than loopback without TLS: everybody on that network can read the passwords; with allow_anonymous, everybody who reaches it can publish as any client that is no device.',
      ),
    cert_file: z
      .string()
      .min(1)
      .optional()
      .describe('For tls: PEM file of the server’s certificate chain; read again when it changes.'),
    key_file: z.string().min(1).optional().describe('For tls: PEM file of its key.'),
    client_ca_file: z
      .string()
      .min(1)
      .optional()
      .describe('For tls: PEM file of the authorities whose client certificates are taken.'),
    auth: z
      .enum(['password', 'certificate', 'either', 'both'])
      .default('password')
      .describe('For tls: how devices log in. both: a certificate and the password of the same device.'),
    device_name: z
      .enum(DEVICE_NAME_FIELDS)
      .default('cn')
      .describe(
        'For tls: what of a client certificate is the device’s name: its common name, or its one subject alternative name that is a DNS name, a URI or an e-mail address.',
      ),
  })
  .superRefine((listener, context) => {
    const issue = (path: string, message: string, hint: string): void =>
      context.addIssue({ code: 'custom', path: [path], message, params: { hint } });
    const { type, host, trusted_network: trusted, auth } = listener;
    if (type !== 'tls') {
      if (!trusted && !isLoopback(host)) {
        const hint =
          'use 127.0.0.1 or type: tls, or set trusted_network: true where everybody on that network may read the passwords';
        issue('host', 'a listener without TLS must bind loopback', hint);
      }
      for (const field of ['cert_file', 'key_file', 'client_ca_file'] as const) {
        if (listener[field] !== undefined) issue(field, 'only for type: tls', 'set type: tls, or remove it');
      }
      if (auth !== 'password') issue('auth', 'only for type: tls', 'set type: tls, or remove it');
    } else {
      for (const field of ['cert_file', 'key_file'] as const) {
        if (listener[field] === undefined) issue(field, 'missing', `type: tls needs ${field}`);
      }
      if (auth !== 'password' && listener.client_ca_file === undefined)
        issue('client_ca_file', 'missing', `auth: ${auth} needs the authorities of the client certificates`);
    }
    if (auth === 'password' && listener.device_name !== 'cn')
      issue('device_name', 'only where certificates are taken', 'set auth to certificate, either or both');
  });
