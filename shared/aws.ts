/**
 * The common options of every AWS entry in agent.yaml and router.yaml, and a common form of the SDK's errors.
 */
import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { networkAccess } from './network/options.ts';
import { retryAfterMs } from './network/retry-after.ts';

export const DEFAULT_CHAIN =
  "Keys of an IAM user. Default: the SDK's default chain (environment, shared files, container or instance role).";

export const awsCredentials = z.strictObject({
  access_key_id: z.string().min(1).describe('Id of the AWS access key.'),
  secret_access_key: z
    .string()
    .min(1)
    .describe('Secret of the access key; give it as a reference to the environment or a file.'),
  session_token: z.string().min(1).optional().describe('Session token of temporary credentials.'),
});

/** Common fields, spread into each entry's own object. */
export const awsAccess = {
  region: z
    .string()
    .regex(/^[a-z]+(-[a-z]+)+-\d+$/, 'expected an AWS region such as eu-west-1')
    .describe('AWS region, such as eu-west-1.'),
  ca_file: z
    .string()
    .min(1)
    .optional()
    .describe('PEM file of the only certificate authorities to trust, instead of those in Node.js.'),
  credentials: awsCredentials.optional().describe(DEFAULT_CHAIN),
  ...networkAccess,
};

/** Said of any other `http://`. */
export const LOOPBACK_HINT =
  'expected https://; http:// is for a server on this machine, since records and signed requests would go unencrypted';

/**
 * https, or http to this machine: records and credentials never leave the machine unencrypted. True for a
 * text that is no URL: its own check says so.
 */
export function isSafeAwsUrl(url: string): boolean {
  if (!URL.canParse(url)) return true;
  const { protocol, hostname } = new URL(url);
  return protocol === 'https:' || /^(localhost|127(\.\d+){3}|\[::1\])$/.test(hostname);
}

/** Services by the suffix of their variable ("Service-specific endpoints", AWS SDKs and Tools guide). */
export type AwsService = 'SQS' | 'IOT_DATA_PLANE';

/**
 * The endpoint that the environment names for a service, as the AWS command line has it, with the name of its
 * variable; null without one. Throws where it would send records and credentials unencrypted off this
 * machine.
 */
export function environmentEndpoint(
  service: AwsService,
  env: Readonly<Record<string, string | undefined>> = process.env,
): { url: string; variable: string } | null {
  if (/^true$/i.test(env['AWS_IGNORE_CONFIGURED_ENDPOINT_URLS'] ?? '')) return null;
  const variable = [`AWS_ENDPOINT_URL_${service}`, 'AWS_ENDPOINT_URL'].find((name) => env[name]);
  const url = variable === undefined ? undefined : env[variable];
  if (variable === undefined || url === undefined) return null;
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol))
    throw new Error(`${variable}: expected a URL such as http://127.0.0.1:4566`);
  if (!isSafeAwsUrl(url)) throw new Error(`${variable}: ${LOOPBACK_HINT}`);
  return { url, variable };
}

type AwsAccess = z.output<z.ZodObject<typeof awsAccess>>;

interface SdkCredentials {
  accessKeyId: string;
  secretAccessKey: string;
  sessionToken?: string;
}

/** The `credentials` of an SDK client's configuration; absent for the default chain. */
export function sdkCredentials({ credentials }: AwsAccess): { credentials?: SdkCredentials } {
  if (!credentials) return {};
  const { access_key_id, secret_access_key, session_token } = credentials;
  return {
    credentials: {
      accessKeyId: access_key_id,
      secretAccessKey: secret_access_key,
      ...(session_token !== undefined && { sessionToken: session_token }),
    },
  };
}

/** The `ca` of an HTTPS agent. Rejects when the file cannot be read. */
export async function trustedCa({ ca_file }: AwsAccess): Promise<{ ca?: string }> {
  return ca_file === undefined ? {} : { ca: await readFile(ca_file, 'utf8') };
}

/** The status, code and text of an SDK client's error, where present. */
export interface SdkFailure {
  /** HTTP status of the answer, null when there was none. */
  status: number | null;
  /** Error code of the socket: `ECONNREFUSED`, `CERT_HAS_EXPIRED`… */
  code: string | null;
  /** Name of the exception: `ThrottlingException`, `TimeoutError`… */
  name: string;
  /** For people. Never the server's message, which may quote headers with a session token. */
  text: string;
  /** From `retry-after`; null without that header. */
  retryAfterMs: number | null;
}

const sdkError = z.object({
  name: z.string().catch('Error'),
  message: z.string().catch(''),
  code: z.string().nullable().catch(null),
  $metadata: z.object({ httpStatusCode: z.number().optional() }).catch({}),
  $response: z.object({ headers: z.record(z.string(), z.string()).catch({}) }).catch({ headers: {} }),
});

/**
 * With 429, or with 400 ("Common errors" of the API references). SQS: "Amazon SQS API reference", "Common
 * error types"; `OverLimit` are too many messages in flight, with 403.
 */
const THROTTLED = /^(Request)?Throttl|^(TooManyRequests|RequestLimitExceeded|OverLimit|KmsThrottled)/;

/** Whether the service asks to slow down. */
export function isThrottled({ status, name }: Pick<SdkFailure, 'status' | 'name'>): boolean {
  return status !== null && (status === 429 || (status < 500 && THROTTLED.test(name)));
}

/** Reads any error thrown by an SDK client. */
export function sdkFailure(error: unknown): SdkFailure {
  const fields = sdkError.parse(typeof error === 'object' && error !== null ? error : {});
  const { name, message, code, $metadata, $response } = fields;
  const status = $metadata.httpStatusCode ?? null;
  const { 'retry-after': retryAfter, date } = $response.headers;
  return {
    status,
    code,
    name,
    text: status === null ? (code ?? `${name}: ${message}`) : `HTTP ${status} ${name}`,
    retryAfterMs: retryAfterMs(retryAfter, { date }),
  };
}
