/**
 * The place of a gateway's receipts in AWS: a named shadow of the thing with the gateway's name. Shared by
 * the entries of agent.yaml and router.yaml.
 */
import type { IoTDataPlaneClient } from '@aws-sdk/client-iot-data-plane';
import { z } from 'zod';
import { awsAccess, isSafeAwsUrl, LOOPBACK_HINT, sdkCredentials, trustedCa } from './aws.ts';
import type { Clock } from './clock.ts';
import { SecureAgent } from './network/agents.ts';

/** Fields shared by both sides' entries; spread into the entry's own object. */
export const awsShadow = {
  ...awsAccess,
  endpoint: z
    .url({ protocol: /^https?$/, error: 'expected an https:// URL' })
    .refine(isSafeAwsUrl, LOOPBACK_HINT)
    .describe(
      'Data endpoint of the AWS account: aws iot describe-endpoint --endpoint-type iot:Data-ATS. http:// only for loopback.',
    ),
  shadow: z
    .string()
    .regex(/^[a-zA-Z0-9:_-]{1,64}$/, 'expected 1–64 of a–z, A–Z, 0–9, ":", "_" or "-"')
    .default('headgate')
    .describe('Named shadow of the thing with the gateway’s name. Only the router may write to it.'),
};

type AwsShadow = z.output<z.ZodObject<typeof awsShadow>>;

export interface ShadowConnection {
  sdk: typeof import('@aws-sdk/client-iot-data-plane');
  client: IoTDataPlaneClient;
}

/** Loads the SDK with its retries off: the caller retries. Rejects when `ca_file` cannot be read. */
export async function openShadows(
  options: AwsShadow,
  socketsMax: number,
  clock: Clock,
): Promise<ShadowConnection> {
  const sdk = await import('@aws-sdk/client-iot-data-plane');
  const tls = await trustedCa(options);
  const agent = new SecureAgent(
    { ...tls, keepAlive: true, maxSockets: socketsMax },
    { access: options, clock },
  );
  const client = new sdk.IoTDataPlaneClient({
    region: options.region,
    endpoint: options.endpoint,
    ...sdkCredentials(options),
    maxAttempts: 1,
    requestHandler: { httpsAgent: agent },
  });
  return { sdk, client };
}
