/** Translates the configuration into the broker's options. */
import type { BrokerLimits, ListenerOptions } from '../broker/listeners/listener.ts';
import type { SessionLimits } from '../broker/persistence/sessions.ts';
import type { AgentConfig } from './config.ts';

export function brokerLimits({ broker }: AgentConfig): BrokerLimits {
  return {
    maxPacketBytes: broker.max_packet_bytes,
    connectTimeoutMs: broker.connect_timeout,
    maxConnections: broker.max_connections,
    maxSubscriptions: broker.max_subscriptions,
    maxTopicBytes: broker.max_topic_bytes,
    maxTopicLevels: broker.max_topic_levels,
    maxConnectionsPerDevice: broker.max_connections_per_device,
    maxConnectRatePerDevice: broker.max_connect_rate_per_device,
    maxPendingPerAddress: broker.max_pending_per_address,
    maxPacketRate: broker.max_packet_rate,
    maxConnectRate: broker.max_connect_rate,
    maxConnectRatePerAddress: broker.max_connect_rate_per_address,
    maxPublishRate: broker.max_publish_rate,
    maxPublishBytesRate: broker.max_publish_bytes,
    maxUnsentBytes: broker.max_unsent_bytes,
  };
}

export function sessionLimits({ broker: { sessions } }: AgentConfig): SessionLimits {
  return {
    maxSessions: sessions.max_sessions,
    maxSessionsPerDevice: sessions.max_sessions_per_device,
    maxQueuedBytesPerDevice: sessions.max_queued_bytes_per_device,
    maxRetainedMessagesPerDevice: sessions.max_retained_messages_per_device,
    maxRetainedBytesPerDevice: sessions.max_retained_bytes_per_device,
    expireAfterMs: sessions.expire_after,
    maxQueuedMessages: sessions.max_queued_messages,
    maxQueuedBytes: sessions.max_queued_bytes,
    maxTotalQueuedBytes: sessions.max_total_queued_bytes,
    maxRetainedMessages: sessions.max_retained_messages,
    maxRetainedBytes: sessions.max_retained_bytes,
  };
}

export function listenerOptions({ broker }: AgentConfig): ListenerOptions[] {
  return broker.listeners.map((listener) => {
    const { type, host, port, cert_file: certFile, key_file: keyFile } = listener;
    if (type === 'ws') return { type, host, port, origins: listener.origins };
    if (type === 'tcp') return { type, host, port };
    if (certFile === undefined || keyFile === undefined)
      throw new Error('a listener of type tls without its files passed the schema');
    const { client_ca_file: clientCaFile, auth, device_name: deviceName } = listener;
    const { client_crl_file: clientCrlFile, ocsp_file: ocspFile, max_connection_age: age } = listener;
    const files = { certFile, keyFile, clientCaFile, clientCrlFile, ocspFile };
    return { type, host, port, tls: { ...files, auth, deviceName, maxAgeMs: age ?? null } };
  });
}
