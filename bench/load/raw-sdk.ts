/**
 * The vendors' SDKs in a loop as in their documentation, with retries off: each request sends prepared
 * envelopes, a fixed number at a time, and measures only that, or that with their encoding. Without buffer,
 * deadline and health.
 */
import { readFileSync } from 'node:fs';
import { Agent } from 'node:https';
import { deserialize } from 'node:v8';
import { loadAgentConfig } from '../../agent/config/config.ts';
import type { OutboundEnvelope } from '../../agent/providers/publisher.ts';
import { PROVIDER_TYPES } from '../../agent/providers/types.ts';
import { sdkCredentials, trustedCa } from '../../shared/aws.ts';
import { systemClock as clock } from '../../shared/clock.ts';
import { decodeEnvelope, encodeEnvelope } from '../../shared/envelope/codec.ts';
import { gcpChannel } from '../../shared/gcp/connection.ts';
import { openGcpCredentials, withCalls } from '../../shared/gcp/credentials.ts';
import { answerRequests, type Spent } from './peer.ts';

export interface RawArgument {
  /** An agent.yaml with one provider. */
  config: string;
}

export interface RawRequest {
  envelopesFile: string;
  inFlight: number;
  /** Whether each envelope is encoded from its records before it is sent. */
  encode: boolean;
}

type Send = (message: OutboundEnvelope) => Promise<unknown>;

const argument: RawArgument = JSON.parse(process.argv[2] ?? '');
const sending = openSdk();

answerRequests<RawRequest, Spent>(async ({ envelopesFile, inFlight, encode }) => {
  const send = await sending;
  const messages: OutboundEnvelope[] = deserialize(readFileSync(envelopesFile));
  const envelopes = messages.map((message) => ({
    message,
    envelope: encode ? decodeEnvelope(message.bytes) : null,
  }));
  const cpuBefore = process.cpuUsage();
  const startMs = clock.monoMs();
  let next = 0;
  const loop = async (): Promise<void> => {
    for (let one = envelopes[next++]; one; one = envelopes[next++]) {
      const { message, envelope } = one;
      await send(envelope ? { ...message, bytes: encodeEnvelope(envelope) } : message);
    }
  };
  await Promise.all(Array.from({ length: inFlight }, loop));
  const { user, system } = process.cpuUsage(cpuBefore);
  return { cpuMs: (user + system) / 1000, wallMs: clock.monoMs() - startMs };
});

async function openSdk(): Promise<Send> {
  const loaded = loadAgentConfig(argument.config);
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems));
  const [entry] = loaded.config.providers;
  const provider = PROVIDER_TYPES.find(({ type }) => type === entry?.type)?.entry.parse(entry);
  switch (provider?.type) {
    case 'aws': {
      const { IoTDataPlaneClient, PublishCommand } = await import('@aws-sdk/client-iot-data-plane');
      const client = new IoTDataPlaneClient({
        region: provider.region,
        endpoint: provider.endpoint,
        ...sdkCredentials(provider),
        maxAttempts: 1,
        requestHandler: { httpsAgent: new Agent({ ...(await trustedCa(provider)), keepAlive: true }) },
      });
      return ({ gateway, stream, bytes, properties }) =>
        client.send(
          new PublishCommand({
            topic: `headgate/${gateway}/${stream}`,
            qos: 1,
            payload: bytes,
            userProperties: JSON.stringify(
              Object.entries(properties).map(([key, value]) => ({ [key]: value })),
            ),
          }),
        );
    }
    case 'azure': {
      const [device, transport] = await Promise.all([
        import('azure-iot-device'),
        import('azure-iot-device-mqtt'),
      ]);
      const client = device.default.Client.fromConnectionString(
        provider.credentials.connection_string ?? '',
        transport.default.Mqtt,
      );
      await client.setOptions({ ca: readFileSync(provider.ca_file ?? '', 'utf8') });
      await client.open();
      return ({ bytes, properties }) => {
        const message = new device.default.Message(Buffer.from(bytes));
        for (const [key, value] of Object.entries(properties)) message.properties.add(key, value);
        return client.sendEvent(message);
      };
    }
    case 'gcp': {
      const { PublisherClient } = await import('@google-cloud/pubsub-api');
      const trust = await openGcpCredentials(provider, clock);
      const sslCreds = withCalls(trust.channel, trust);
      const client = new PublisherClient({ ...gcpChannel(provider).client, sslCreds });
      const topic = `projects/${provider.project}/topics/${provider.topic}`;
      return ({ bytes, properties }) =>
        client.publish(
          { topic, messages: [{ data: bytes, attributes: { ...properties } }] },
          { retry: null },
        );
    }
    default:
      throw new Error('no SDK for this provider');
  }
}
