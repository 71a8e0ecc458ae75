/**
 * The common options of every plain MQTT entry in agent.yaml and router.yaml, and the client's settings for
 * them.
 */
import { readFile } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';
import type { IClientOptions } from 'mqtt';
import { z } from 'zod';
import type { Clock } from './clock.ts';
import { type Network, PlainAgent, SecureAgent } from './network/agents.ts';
import { type Origin, originOf } from './network/local-address.ts';
import { NO_PROXY, networkAccess } from './network/options.ts';
import { areUrlPartsEncoded, URL_PARTS_HINT } from './network/url-parts.ts';

/** Common fields, spread into each entry's own object. */
export const mqttAccess = {
  url: z
    .url({
      protocol: /^(mqtts?|wss?)$/,
      error: 'expected a URL such as mqtts://broker:8883 or wss://broker/mqtt',
    })
    .refine(areUrlPartsEncoded, URL_PARTS_HINT)
    .describe('URL of the broker: mqtt://, mqtts://, ws:// or wss://.'),
  username: z.string().min(1).optional().describe('Username at the broker.'),
  password: z
    .string()
    .min(1)
    .optional()
    .describe('Password at the broker; give it as a reference to the environment or a file.'),
  ca_file: z
    .string()
    .min(1)
    .optional()
    .describe('PEM file of the only certificate authorities to trust, instead of those in Node.js.'),
  cert_file: z.string().min(1).optional().describe('PEM file of the client certificate.'),
  key_file: z.string().min(1).optional().describe('PEM file of the client certificate’s private key.'),
  topic_prefix: z
    .string()
    .regex(
      /^[^+#$/\0][^+#\0]*(?<!\/)$/,
      'expected topic levels without wildcards, such as headgate or plant/7',
    )
    .default('headgate')
    .describe('Beginning of the topic <topic_prefix>/<gateway>/<stream> of envelopes.'),
  ...networkAccess,
};

export type MqttAccess = z.output<z.ZodObject<typeof mqttAccess>>;

/** A dead connection is detected without traffic. */
export const KEEPALIVE_S = 30;
/** Limit from the first SYN to the CONNACK. */
const CONNECT_MS = 10_000;

const PROTOCOLS = ['mqtts', 'mqtt', 'wss', 'ws'] as const;

/**
 * The client's settings for a URL of {@link mqttAccess}. The client itself would parse the URL by Node's
 * deprecated `url.parse`.
 */
export function brokerAddress(url: string): IClientOptions {
  const { hostname, port, username, password, pathname, search } = new URL(url);
  const protocol = PROTOCOLS.find((name) => url.toLowerCase().startsWith(`${name}:`));
  if (protocol === undefined) throw new Error(`expected one of ${PROTOCOLS.join(', ')}`);
  return {
    protocol,
    host: hostname.replace(/^\[(.*)\]$/, '$1'),
    ...(port !== '' && { port: Number(port) }),
    ...(username !== '' && { username: decodeURIComponent(username) }),
    ...(password !== '' && { password: decodeURIComponent(password) }),
    ...(protocol.startsWith('ws') && { path: `${pathname}${search}` }),
  };
}

/**
 * Settings for one connection, MQTT 3.1.1: the client neither reconnects nor queues nor resends, because each
 * of these would be a second queue beside the buffer. Rejects when a file of the entry is unreadable or
 * malformed.
 */
export async function mqttClientOptions(access: MqttAccess, clock: Clock): Promise<IClientOptions> {
  const { username, password } = access;
  const read = async (file: string | undefined): Promise<Buffer | null> => (file ? readFile(file) : null);
  const [ca, cert, key] = await Promise.all([
    read(access.ca_file),
    read(access.cert_file),
    read(access.key_file),
  ]);
  const tls = { ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) };
  // Checked here, where the error can be reported: the client would throw in the middle of a connect.
  createSecureContext(tls);
  return {
    ...brokerAddress(access.url),
    protocolVersion: 4,
    keepalive: KEEPALIVE_S,
    connectTimeout: CONNECT_MS,
    reconnectPeriod: 0,
    resubscribe: false,
    queueQoSZero: false,
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
    ...tls,
    ...webSocket(access.url, { access, clock }),
  };
}

/** MQTT itself knows no HTTP proxy; a WebSocket begins as a request of HTTP. */
function webSocket(url: string, network: Network): IClientOptions {
  const { protocol } = new URL(url);
  if (protocol === 'wss:') return { wsOptions: { agent: new SecureAgent({}, network) } };
  return protocol === 'ws:' ? { wsOptions: { agent: new PlainAgent({}, network) } } : {};
}

/** For each connection anew: the address that it comes from, where mqtt.js makes the socket itself. */
export function mqttOrigin({ url, local_address }: MqttAccess): Origin {
  return url.startsWith('ws') ? {} : originOf(local_address);
}

/** The option of the way to the broker that cannot be kept. */
export function mqttNetworkProblem(
  { url, proxy, local_address }: Pick<MqttAccess, 'url' | 'proxy' | 'local_address'>,
  context: z.RefinementCtx,
): void {
  const issue = (path: string, message: string, hint: string): void =>
    context.addIssue({ code: 'custom', path: [path], message, params: { hint } });
  const [, scheme = ''] = /^(\w+):/.exec(url) ?? [];
  if (proxy !== undefined && proxy !== NO_PROXY && !scheme.startsWith('ws'))
    issue('proxy', 'MQTT over TCP takes no HTTP proxy', 'use a URL of ws:// or wss:// (WebSocket)');
  if (local_address !== undefined && scheme === 'mqtt')
    issue('local_address', 'is not for mqtt://', 'use a URL of mqtts://, ws:// or wss://');
}
