/** The common sections of agent.yaml and router.yaml. */
import { isIP } from 'node:net';
import { z } from 'zod';
import { duration, identifier } from './kinds.ts';

const MINUTE_MS = 60_000;
const YEAR_MS = 366 * 86_400_000;

const logLevel = z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']);

export const logSchema = z
  .strictObject({
    level: logLevel.default('info').describe('Lowest level that is logged.'),
    levels: z
      .record(identifier(), logLevel)
      .default({})
      .describe('Levels of single components, by name: routing, store, broker, …'),
  })
  .describe('The log: JSON lines on stdout, or on stderr when a feed writes to stdout.');

export const port = (): z.ZodInt => z.int().min(0).max(65_535);

/** Where the local admin server listens: health, metrics and the answers for `headgate status`. */
function adminAddress(defaultPort: number) {
  return {
    host: z
      .string()
      .min(1)
      .default('127.0.0.1')
      .describe('Address to listen on. Another one than loopback needs token, or trusted_network: true.'),
    port: port().default(defaultPort).describe('0 takes a free port.'),
  };
}

/** For commands that ask the server: without its secret. */
export function adminPlaceSchema(defaultPort: number) {
  return z.object(adminAddress(defaultPort));
}

export function adminSchema(defaultPort: number) {
  return z
    .strictObject({
      ...adminAddress(defaultPort),
      host_names: z
        .array(z.string().min(1).max(253))
        .max(32)
        .default([])
        .describe(
          'Names under which clients ask, besides addresses, localhost and this machine’s name: requests under others are refused, because they may come from a web page (DNS rebinding).',
        ),
      token: z
        .string()
        .regex(/^[!-~]{16,256}$/, 'expected 16 to 256 visible ASCII characters: openssl rand -hex 32')
        .optional()
        .describe(
          'Clients log in with this token, as Bearer or as the password of Basic; give it as a reference to a file. /healthz answers without it, and /readyz without reasons. Default: no login.',
        ),
      trusted_network: z
        .boolean()
        .default(false)
        .describe(
          'Allows an address other than loopback without token: all hosts that reach it can read status and metrics.',
        ),
    })
    .superRefine(({ host, token, trusted_network: isTrusted }, context) => {
      if (isLoopback(host) || token !== undefined || isTrusted) return;
      const message = 'all hosts that reach this address could read status and metrics';
      const hint =
        'give admin.token, use 127.0.0.1, or set admin.trusted_network: true where all hosts on that network may read';
      context.addIssue({ code: 'custom', path: ['host'], message, params: { hint } });
    })
    .describe('Local HTTP server: /healthz, /readyz, /metrics and the answers for headgate status.');
}

export const dataDir = (): z.ZodString =>
  z
    .string()
    .min(1)
    .describe('Folder for the durable files; created when it is missing. Only one process may use it.');

/** Whether only this machine can reach a listener on `host`. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}

/** The fields for checks across entries; they parse even when other fields of an entry are wrong. */
export const namedEntries = z.array(
  z.object({ name: z.string(), region: z.string().optional().catch(undefined) }),
);

/**
 * The names in a list of entries must differ: they are metric labels and file names. An issue points at the
 * later entry.
 */
export function uniqueNames<T extends z.ZodType>(list: T, what: string): T {
  return list.superRefine(
    (entries, context) => {
      const named = namedEntries.safeParse(entries);
      const names = named.success ? named.data.map(({ name }) => name) : [];
      for (const [index, name] of names.entries()) {
        const first = names.indexOf(name);
        if (first === index) continue;
        context.addIssue({
          code: 'custom',
          path: [index, 'name'],
          message: `expected a name that no other ${what} has; entry ${first} has it too`,
          params: { hint: `give each ${what} its own name` },
        });
      }
    },
    { when: () => true },
  );
}

/** The greatest age of a TLS connection. */
export function maxConnectionAge(): z.ZodType<number, string> {
  return duration()
    .refine((ms) => ms >= MINUTE_MS && ms <= YEAR_MS, 'expected 1m to 366d')
    .describe(
      'For tls: a connection ends at this age, checked once a minute, and the client logs in anew. Without it, a connection lasts as long as its certificate.',
    );
}

/** The response that a TLS listener staples. */
export function ocspFile(): z.ZodString {
  return z
    .string()
    .min(1)
    .describe(
      'For tls: DER file of an OCSP response about the certificate, sent to clients that ask for it; read again when it changes. One that does not fit, or that has run out, is not sent.',
    );
}
