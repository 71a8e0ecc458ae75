/** Where Pub/Sub is, and how a gRPC channel to it behaves: the options of both sides' SDK clients. */

/**
 * gRPC tries again by itself this soon after a failed connect, and at most this late: an outage is over
 * within a second.
 */
const RECONNECT_FIRST_MS = 250;
const RECONNECT_LAST_MS = 800;
/** Between two look-ups of a channel. */
const LOOK_UP_MS = 1000;
/** As advised for connections that die silently (googleapis/nodejs-pubsub#1779). */
const KEEPALIVE_MS = 30_000;
const KEEPALIVE_TIMEOUT_MS = 10_000;

export const GRPC_OPTIONS = {
  'grpc.initial_reconnect_backoff_ms': RECONNECT_FIRST_MS,
  'grpc.max_reconnect_backoff_ms': RECONNECT_LAST_MS,
  'grpc.keepalive_time_ms': KEEPALIVE_MS,
  'grpc.keepalive_timeout_ms': KEEPALIVE_TIMEOUT_MS,
  // Retrying is ours: the SDK's own would add up with it.
  'grpc.enable_retries': 0,
  'grpc.enable_channelz': 0,
  // A rebuilt channel must not be given the old one's connection out of the process-wide pool.
  'grpc.use_local_subchannel_pool': 1,
  // No TXT look-up for a service config that Pub/Sub does not publish.
  'grpc.service_config_disable_resolution': 1,
  // gRPC waits 30 s from one look-up to the next, also after one that failed: ours are few by themselves.
  'grpc.dns_min_time_between_resolutions_ms': LOOK_UP_MS,
};

/** Given to the SDK, so that it does not look for credentials (and a metadata server) to find it. */
const UNIVERSE = 'googleapis.com';

export interface GcpAddress {
  servicePath: string;
  port: number;
  universeDomain: string;
}

/**
 * The endpoint, or the region's own ("Pub/Sub service APIs overview", locational endpoints), or the global
 * one.
 */
export function gcpAddress(where: {
  endpoint?: string | undefined;
  region?: string | undefined;
}): GcpAddress {
  const regional = where.region === undefined ? '' : `${where.region}-`;
  const [servicePath = '', port] = (where.endpoint ?? `${regional}pubsub.${UNIVERSE}:443`).split(':');
  return { servicePath, port: Number(port), universeDomain: UNIVERSE };
}
