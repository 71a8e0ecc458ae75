/** The address of Pub/Sub, and the gRPC channel options of both sides' SDK clients. */

import { type HttpProxy, isThisMachine, proxyFor } from '../network/proxy.ts';
import { PLAINTEXT_HINT } from './access-options.ts';

/**
 * gRPC reconnects by itself after this first pause, and at most this longest one: an outage ends within a
 * second.
 */
const RECONNECT_FIRST_MS = 250;
const RECONNECT_LAST_MS = 800;
/** Shortest time between two DNS look-ups of a channel. */
const LOOK_UP_MS = 1000;
/** As recommended for connections that die silently (googleapis/nodejs-pubsub#1779). */
const KEEPALIVE_MS = 30_000;
const KEEPALIVE_TIMEOUT_MS = 10_000;

const GRPC_OPTIONS = {
  'grpc.initial_reconnect_backoff_ms': RECONNECT_FIRST_MS,
  'grpc.max_reconnect_backoff_ms': RECONNECT_LAST_MS,
  'grpc.keepalive_time_ms': KEEPALIVE_MS,
  'grpc.keepalive_timeout_ms': KEEPALIVE_TIMEOUT_MS,
  // The caller retries: the SDK's own retries would add to that.
  'grpc.enable_retries': 0,
  'grpc.enable_channelz': 0,
  // Its own proxies are one for the process, and it waits for them without a limit.
  'grpc.enable_http_proxy': 0,
  // A rebuilt channel must not reuse the old one's connection from the process-wide pool.
  'grpc.use_local_subchannel_pool': 1,
  // No DNS TXT query for a service config, which Pub/Sub does not publish.
  'grpc.service_config_disable_resolution': 1,
  // gRPC waits 30 s from one look-up to the next, also after one that failed: ours are few by themselves.
  'grpc.dns_min_time_between_resolutions_ms': LOOK_UP_MS,
};

/** The variable of Google's clients for their emulator. */
const EMULATOR = 'PUBSUB_EMULATOR_HOST';

/** Passed to the SDK, which would otherwise ask the credentials (and a metadata server) for it. */
const UNIVERSE = 'googleapis.com';

interface GcpAddress {
  servicePath: string;
  port: number;
  universeDomain: string;
}

/**
 * The configured endpoint, else the region's ("Pub/Sub service APIs overview", locational endpoints), else
 * the global one.
 */
function gcpAddress(where: GcpWhere): GcpAddress {
  const regional = where.region === undefined ? '' : `${where.region}-`;
  const [servicePath = '', port] = (where.endpoint ?? `${regional}pubsub.${UNIVERSE}:443`).split(':');
  return { servicePath, port: Number(port), universeDomain: UNIVERSE };
}

export interface GcpChannel {
  /** The options of an SDK client but its credentials. */
  client: GcpAddress & typeof GRPC_OPTIONS & { 'grpc.default_authority'?: string };
  /** By which {@link SocketHold} makes its way; null: directly. */
  tunnel: { proxy: HttpProxy; target: { host: string; port: number } } | null;
}

/** The options that say where Pub/Sub is. */
export interface GcpWhere {
  endpoint?: string | undefined;
  region?: string | undefined;
  insecure?: boolean | undefined;
}

/** Where a channel of an entry connects. */
export interface GcpPlace {
  host: string;
  port: number;
  /** Plaintext without credentials. */
  insecure: boolean;
  /** The option or variable that says so. */
  option: string;
}

/**
 * The entry's place, or, for an entry without `endpoint`, that of the emulator on this machine which the
 * environment names, as Google's own clients have it. Throws where that would send records unencrypted off
 * this machine.
 */
export function placeOf(
  where: GcpWhere,
  env: Readonly<Record<string, string | undefined>> = process.env,
): GcpPlace {
  const emulator = env[EMULATOR] ?? '';
  if (where.endpoint === undefined && emulator !== '') {
    const [, host = '', port] = /^(?:http:\/\/)?([^:/\s]+|\[[0-9a-f:]+\]):(\d{1,5})$/i.exec(emulator) ?? [];
    if (port === undefined) throw new Error(`${EMULATOR}: expected host:port`);
    const name = host.replace(/^\[(.*)\]$/, '$1');
    if (!isThisMachine(name)) throw new Error(`${EMULATOR}: ${PLAINTEXT_HINT}`);
    return { host: name, port: Number(port), insecure: true, option: EMULATOR };
  }
  const { servicePath: host, port } = gcpAddress(where);
  return { host, port, insecure: where.insecure ?? false, option: 'endpoint' };
}

/** Where a channel connects, and what it does there. Throws when a variable cannot be used. */
export function gcpChannel(where: GcpWhere & { proxy?: string | undefined }): GcpChannel {
  const { host, port, insecure } = placeOf(where);
  const address = { servicePath: host, port, universeDomain: UNIVERSE };
  const target = { host, port };
  const proxy = proxyFor({ ...target, isSecure: !insecure }, where.proxy);
  if (proxy === null) return { client: { ...address, ...GRPC_OPTIONS }, tunnel: null };
  const client = {
    ...address,
    ...GRPC_OPTIONS,
    servicePath: proxy.host,
    port: proxy.port,
    'grpc.default_authority': `${target.host}:${target.port}`,
    // The certificate is of the service, not of the proxy.
    'grpc.ssl_target_name_override': target.host,
  };
  return { client, tunnel: { proxy, target } };
}
