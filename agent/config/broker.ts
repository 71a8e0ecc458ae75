/** The `broker` section of agent.yaml: listeners, limits and sessions. */
import { z } from 'zod';
import { byteSize, duration } from '../../shared/config/kinds.ts';
import { topicFilter } from '../../shared/policy/policy.ts';
import { listenerSchema } from '../broker/listeners/listener-schema.ts';

const sessionsSchema = z
  .strictObject({
    keep: z
      .boolean()
      .default(true)
      .describe('false: sessions, retained messages and queues are in memory only and end with the agent.'),
    max_sessions: z
      .int()
      .min(1)
      .max(100_000)
      .default(1000)
      .describe('Clients with a persistent session (clean session off); further ones are refused.'),
    max_sessions_per_device: z
      .int()
      .min(1)
      .max(100_000)
      .default(16)
      .describe('Persistent sessions of one device, over all its client ids; further ones are refused.'),
    expire_after: duration()
      .default(7 * 86_400_000)
      .describe('A session ends after its client was away for this long.'),
    max_queued_messages: z
      .int()
      .min(1)
      .max(1_000_000)
      .default(1000)
      .describe('Most messages queued for one client; further ones are dropped.'),
    max_queued_bytes: byteSize()
      .default(2 ** 20)
      .describe('Most bytes queued for one client; further messages are dropped.'),
    max_queued_bytes_per_device: byteSize()
      .default(8 * 2 ** 20)
      .describe('Most bytes queued for one device, over all its client ids; further messages are dropped.'),
    max_total_queued_bytes: byteSize()
      .default(32 * 2 ** 20)
      .describe('Most bytes queued for all clients together; further messages are dropped.'),
    max_retained_messages: z.int().min(0).max(1_000_000).default(10_000).describe('Most retained messages.'),
    max_retained_bytes: byteSize()
      .default(16 * 2 ** 20)
      .describe('Most bytes of all retained messages together.'),
    max_retained_messages_per_device: z
      .int()
      .min(0)
      .max(1_000_000)
      .default(5000)
      .describe('Most retained messages that one device published.'),
    max_retained_bytes_per_device: byteSize()
      .default(8 * 2 ** 20)
      .describe('Most bytes of the retained messages that one device published.'),
  })
  .describe('Persistent sessions: subscriptions, queues and retained messages for devices that are offline.');

export const brokerSchema = z
  .strictObject({
    listeners: z
      .array(listenerSchema)
      .min(1)
      .default([
        {
          type: 'tcp',
          host: '127.0.0.1',
          port: 1883,
          trusted_network: false,
          origins: [],
          auth: 'password',
          device_name: 'cn',
        },
      ])
      .describe('The addresses that devices connect to.'),
    allow_anonymous: z
      .boolean()
      .default(false)
      .describe('Also accept clients without credentials, on listeners without TLS.'),
    max_packet_bytes: byteSize().default(262_144).describe('A larger MQTT packet ends its connection.'),
    connect_timeout: duration()
      .default(5000)
      .describe('A connection must send its CONNECT within this time.'),
    sessions: sessionsSchema.prefault({}),
    max_subscriptions: z
      .int()
      .min(1)
      .max(100_000)
      .default(100)
      .describe('Most subscriptions of one client; further ones get return code 0x80.'),
    max_topic_bytes: byteSize()
      .default(1024)
      .describe('Longest topic name or filter, in UTF-8 bytes. Longer ones are refused.'),
    max_topic_levels: z.int().min(1).max(100).default(32).describe('Most levels of a topic name or filter.'),
    max_connect_rate: z
      .int()
      .min(0)
      .default(500)
      .describe('Connections that may begin in a second; four seconds’ worth at once. 0: no limit.'),
    max_connect_rate_per_address: z
      .int()
      .min(0)
      .default(100)
      .describe(
        'Connections that may begin in a second from one address; four seconds’ worth at once. 0: no limit.',
      ),
    max_connect_rate_per_device: z
      .int()
      .min(0)
      .default(10)
      .describe('Logins of one device in a second; ten seconds’ worth at once. 0: no limit.'),
    max_packet_rate: z
      .int()
      .min(0)
      .default(5000)
      .describe(
        'Packets of one client in a second other than PUBLISH; two seconds’ worth at once. A filter of SUBSCRIBE or UNSUBSCRIBE counts as ten. The broker reads more slowly from a faster client. 0: no limit.',
      ),
    max_publish_rate: z
      .int()
      .min(0)
      .default(1000)
      .describe(
        'Publishes of one client in a second; two seconds’ worth at once. The broker reads more slowly from a faster client, and disconnects it after a minute. 0: no limit.',
      ),
    max_publish_bytes: byteSize()
      .default(2 ** 20)
      .describe(
        'Bytes of topic and payload that one client may publish in a second; two seconds’ worth at once. 0B: no limit.',
      ),
    max_unsent_bytes: byteSize()
      .default(2 ** 20)
      .describe('Most unsent bytes for one client; a client that does not read them is disconnected.'),
    local_topics: z
      .array(topicFilter)
      .default([])
      .describe(
        'Filters of topics that stay between devices: delivered, never recorded, and independent of the disk.',
      ),
    max_connections: z
      .int()
      .min(1)
      .max(100_000)
      .default(1000)
      .describe('Most connections over all listeners; further ones are refused.'),
    max_connections_per_device: z
      .int()
      .min(2)
      .max(100_000)
      .default(32)
      .describe(
        'Most connections of one device at a time, over all its client ids; further ones are refused.',
      ),
    max_pending_per_address: z
      .int()
      .min(1)
      .max(100_000)
      .default(250)
      .describe('Most connections from one address that have not logged in; further ones are refused.'),
  })
  .describe('The MQTT broker that devices publish to.');
