/** The `broker` section of agent.yaml: what devices may do, and what is kept for them. */
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
      .describe(
        'Clients with a session that outlives their connection (clean session off); more are refused.',
      ),
    expire_after: duration()
      .default(7 * 86_400_000)
      .describe('The session of a client that is away for longer ends.'),
    max_queued_messages: z
      .int()
      .min(1)
      .max(1_000_000)
      .default(1000)
      .describe('Messages that wait for one client; more are not queued for it.'),
    max_queued_bytes: byteSize()
      .default(2 ** 20)
      .describe('Bytes that wait for one client.'),
    max_total_queued_bytes: byteSize()
      .default(32 * 2 ** 20)
      .describe('Bytes that wait for all clients together.'),
    max_retained_messages: z.int().min(0).max(1_000_000).default(10_000).describe('Retained messages.'),
    max_retained_bytes: byteSize()
      .default(16 * 2 ** 20)
      .describe('Their bytes.'),
  })
  .describe('What the broker keeps for devices that are away.');

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
          auth: 'password',
          device_name: 'cn',
        },
      ])
      .describe('Where devices connect.'),
    allow_anonymous: z
      .boolean()
      .default(false)
      .describe('Also take clients without credentials, on listeners without TLS.'),
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
      .describe('Subscriptions that one client may have; further ones get return code 0x80.'),
    max_topic_bytes: byteSize()
      .default(1024)
      .describe('Longest topic name or filter. A longer one is refused like one that is not allowed.'),
    max_topic_levels: z.int().min(1).max(100).default(32).describe('Most levels of a topic name or filter.'),
    max_connect_rate: z
      .int()
      .min(0)
      .default(500)
      .describe('Connections that may begin in a second; four seconds’ worth at once. 0: no limit.'),
    max_connect_rate_per_address: z.int().min(0).default(100).describe('The same, from one address.'),
    max_publish_rate: z
      .int()
      .min(0)
      .default(1000)
      .describe(
        'Publishes of one client in a second; two seconds’ worth at once. A faster one is read from more slowly, and cut off after a minute. 0: no limit.',
      ),
    max_publish_bytes: byteSize()
      .default(2 ** 20)
      .describe('The same, in bytes of topic and payload. 0B: no limit.'),
    max_unsent_bytes: byteSize()
      .default(2 ** 20)
      .describe('What may wait to be sent to one client that does not take it; then its connection ends.'),
    local_topics: z
      .array(topicFilter)
      .default([])
      .describe(
        'Filters of topics that stay between devices: delivered, never recorded, and independent of the disk.',
      ),
    max_connections: z.int().min(1).max(100_000).default(1000).describe('Further connections are refused.'),
  })
  .describe('The MQTT broker that devices publish to.');
