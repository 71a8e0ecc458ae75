/**
 * gRPC credentials for Pub/Sub. They are made here instead of in the SDK for two reasons: a certificate
 * authority can be set per connection (the SDK's own way, GRPC_DEFAULT_SSL_ROOTS_FILE_PATH, is process-wide),
 * and a service account signs its own JWTs without any request (no token endpoint, no metadata server).
 */
import { readFile } from 'node:fs/promises';
import { type CallCredentials, type ChannelCredentials, credentials, Metadata } from '@grpc/grpc-js';
import { GoogleAuth, JWT } from 'google-auth-library';
import { z } from 'zod';
import type { Clock } from '../clock.ts';
import { errorText } from '../log.ts';
import { within } from '../within.ts';
import type { GcpAccess } from './access-options.ts';
import { placeOf } from './connection.ts';
import { type FreshToken, KeptToken } from './kept-token.ts';

/** The audience of a self-signed JWT is the service's global name, even at a regional endpoint (AIP-4111). */
const SERVICE = 'pubsub.googleapis.com';
/** A larger move of the wall clock against the monotonic clock means that it was set; NTP slews by less. */
const CLOCK_STEP_MS = 30_000;
const SCOPE = 'https://www.googleapis.com/auth/pubsub';

export interface GcpCredentials {
  channel: ChannelCredentials;
  /** Null when authentication is off. */
  call: CallCredentials | null;
  /**
   * Resolves when a call's credentials are available, at once for self-signed ones. Rejects when they cannot
   * be made, or when their endpoint does not answer.
   */
  ready: () => Promise<unknown>;
}

/** Limit for an answer of the token endpoint. */
const TOKEN_MS = 5000;

/** Rejects when a file of the options is unreadable or not a service account's key. */
export async function openGcpCredentials(options: GcpAccess, clock: Clock): Promise<GcpCredentials> {
  if (placeOf(options).insecure)
    return { channel: credentials.createInsecure(), call: null, ready: () => Promise.resolve() };
  const ca = await trustedRoots(options);
  const headers = await headerSource(options, clock);
  return { channel: credentials.createSsl(ca), call: callCredentials(headers), ready: headers };
}

/** PEM of `ca_file`; null for the usual authorities. Rejects when the file is unreadable. */
export async function trustedRoots({ ca_file: file }: GcpAccess): Promise<Buffer | null> {
  return file === undefined ? null : readFile(file);
}

/** Channel credentials, combined with call credentials where there are any. */
export function withCalls(channel: ChannelCredentials, { call }: GcpCredentials): ChannelCredentials {
  return call ? credentials.combineChannelCredentials(channel, call) : channel;
}

type HeaderSource = () => Promise<Headers>;

const keyFile = z.object({
  client_email: z.string(),
  private_key: z.string(),
  private_key_id: z.string().optional(),
});

type AccountKey = z.infer<typeof keyFile>;

async function headerSource(options: GcpAccess, clock: Clock): Promise<HeaderSource> {
  const account = options.credentials;
  if (!account) {
    return defaultCredentials(options.project, clock);
  }
  const key: AccountKey = 'key_file' in account ? await readKeyFile(account.key_file) : account;
  return signer(key, clock);
}

/**
 * Application default credentials. The library waits for its token endpoint without a limit, and each later
 * call waits for the first: after a timeout the library's object is replaced. Without a project it also asks
 * `gcloud` and the Cloud Resource Manager for one, before the first token.
 */
function defaultCredentials(projectId: string, clock: Clock): HeaderSource {
  let auth: GoogleAuth | null = null;
  const fetchToken = (): Promise<FreshToken> => {
    const asked = auth ?? new GoogleAuth({ scopes: [SCOPE], projectId });
    asked.useJWTAccessWithScope = true;
    auth = asked;
    const fresh = asked.getClient().then(async (client) => {
      const headers = await client.getRequestHeaders();
      const endsAtMs = client.credentials.expiry_date ?? null;
      return { headers, lifetimeMs: endsAtMs === null ? null : endsAtMs - clock.wallMs() };
    });
    return within(clock, TOKEN_MS, fresh, () => {
      if (auth === asked) auth = null;
      throw new Error(`ETIMEDOUT: the endpoint of the token did not answer within ${TOKEN_MS} ms`);
    });
  };
  const token = new KeptToken(fetchToken, clock);
  return () => token.headers();
}

/**
 * Signs a token and reuses it until it expires. Signs a new one when the wall clock was set meanwhile: a
 * token from before would be refused and, after a step back, reused for as long as the step (I7).
 */
function signer(key: AccountKey, clock: Clock): HeaderSource {
  let jwt: JWT | null = null;
  let signedAtOffsetMs = 0;
  return () => {
    const offsetMs = clock.wallMs() - clock.monoMs();
    if (!jwt || Math.abs(offsetMs - signedAtOffsetMs) > CLOCK_STEP_MS) {
      jwt = new JWT({ email: key.client_email, key: key.private_key, ...keyId(key) });
      jwt.defaultServicePath = SERVICE;
      signedAtOffsetMs = offsetMs;
    }
    return jwt.getRequestHeaders(`https://${SERVICE}/`);
  };
}

async function readKeyFile(path: string): Promise<AccountKey> {
  const text = await readFile(path, 'utf8');
  try {
    return keyFile.parse(JSON.parse(text));
  } catch {
    // The parser's own message would quote the file, which is a secret.
    throw new Error(`${path} is not the key file of a service account`);
  }
}

function keyId(key: AccountKey): { keyId?: string } {
  return key.private_key_id === undefined ? {} : { keyId: key.private_key_id };
}

function callCredentials(headers: HeaderSource): CallCredentials {
  return credentials.createFromMetadataGenerator((_call, callback) => {
    headers().then(
      (found) => {
        const metadata = new Metadata();
        for (const [name, value] of found) metadata.set(name, value);
        callback(null, metadata);
      },
      (error: unknown) => callback(error instanceof Error ? error : new Error(errorText(error))),
    );
  });
}
