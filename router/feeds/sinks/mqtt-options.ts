/** Options of the feed type `mqtt`. */
import { z } from 'zod';

/** A literal first character keeps records out of `$SYS`, whatever their names are. */
const TOPIC_TEMPLATE = /^[A-Za-z0-9_-]([^+#{}\0]|\{(gateway|stream|device|topic)\})*$/;

export const mqttFeedOptions = z
  .strictObject({
    url: z
      .url({
        protocol: /^mqtts?$/,
        error: 'expected a URL such as mqtt://broker:1883 or mqtts://broker:8883',
      })
      .describe('The broker, mqtt:// or mqtts://.'),
    topic: z
      .string()
      .regex(
        TOPIC_TEMPLATE,
        'expected a topic of literal text and {gateway}, {stream}, {device}, {topic}, without wildcards, starting with literal text',
      )
      .default('headgate/{gateway}/{topic}')
      .describe(
        'The topic of each record. Placeholders: {gateway}, {stream}, {device}, {topic} (the topic as the device published it).',
      ),
    message: z
      .enum(['payload', 'record'])
      .default('payload')
      .describe(
        'payload: the device’s payload, byte for byte. record: a JSON object with it, the device, the topic, the record’s id and time, as a line of an ndjson feed.',
      ),
    client_id: z
      .string()
      .min(1)
      .max(65_535)
      .exactOptional()
      .describe('Default: headgate-feed- and the name of the feed.'),
    username: z.string().min(1).exactOptional().describe('Username at the broker.'),
    password: z
      .string()
      .exactOptional()
      .describe('Password at the broker; give it as a reference to the environment or a file.'),
    ca: z
      .string()
      .exactOptional()
      .describe('PEM of the authority that signed the broker’s certificate; default: the system’s.'),
    cert: z.string().exactOptional().describe('PEM of the client certificate.'),
    key: z.string().exactOptional().describe('PEM of its key.'),
  })
  .describe('Publishes every record to an MQTT broker, at least once.');

export type MqttFeedOptions = z.output<typeof mqttFeedOptions>;
