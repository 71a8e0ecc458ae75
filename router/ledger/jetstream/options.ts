/** The options of `ledger: { type: jetstream }` in router.yaml. */
import { z } from 'zod';
import { duration } from '../../../shared/config/kinds.ts';

export const jetStreamOptions = z.strictObject({
  servers: z
    .array(z.string().regex(/^(nats|tls):\/\/[^\s/@]+$/, 'expected nats://host:4222 or tls://host:4222'))
    .min(1)
    .describe('Servers of the cluster, tried in turn; they report the others. tls:// for TLS.'),
  user: z.string().min(1).optional().describe('User name; needs `password`.'),
  password: z
    .string()
    .min(1)
    .optional()
    .describe('Password of `user`, as a reference to the environment or a file.'),
  credentials: z
    .string()
    .min(1)
    .optional()
    .describe(
      'Content of a .creds file (a JWT and its key), as a reference to that file, in place of user and password.',
    ),
  ca: z
    .string()
    .min(1)
    .optional()
    .describe("PEM of the authority that signed the servers' certificates, as a reference to its file."),
  name: z
    .string()
    .regex(/^[A-Za-z0-9_-]{1,32}$/, 'expected 1–32 of A–Z, a–z, 0–9, "_" or "-"')
    .default('headgate')
    .describe(
      'Prefix of the names of the JetStream streams and all subjects; the router creates missing streams.',
    ),
  replicas: z
    .literal([1, 3, 5])
    .default(3)
    .describe(
      'Servers that hold each message; applies when the streams are created. 1: data that this server loses is lost.',
    ),
  timeout: duration()
    .default(10_000)
    .describe('Longest wait for the servers; then the commit fails and the clouds deliver again.'),
});
