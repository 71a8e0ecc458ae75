/**
 * The types of provider, each with its real SDK, and what it needs to bring records to a ledger: the loopback
 * cloud and the router's source, a real broker, the router itself. Each can refuse messages for good.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';
import { AWS_ENVELOPE_BYTES_MAX } from '../../../agent/providers/aws/options.ts';
import { openAwsPublisher } from '../../../agent/providers/aws/publisher.ts';
import { AZURE_ENVELOPE_BYTES_MAX, azureOptions } from '../../../agent/providers/azure/options.ts';
import { openAzurePublisher } from '../../../agent/providers/azure/publisher.ts';
import { GCP_ENVELOPE_BYTES_MAX } from '../../../agent/providers/gcp/options.ts';
import { openGcpPublisher } from '../../../agent/providers/gcp/publisher.ts';
import { httpsOptions } from '../../../agent/providers/https/options.ts';
import { openHttpsPublisher } from '../../../agent/providers/https/publisher.ts';
import { mqttOptions } from '../../../agent/providers/mqtt/options.ts';
import { openMqttPublisher } from '../../../agent/providers/mqtt/publisher.ts';
import type { Publisher } from '../../../agent/providers/publisher.ts';
import { type CertificateAuthority, createCertificateAuthority } from '../../../loopback/ca.ts';
import { PermanentRefusal, type RefusalRule } from '../../../loopback/permanent-refusal.ts';
import { eventHubsOptions } from '../../../router/sources/event-hubs/options.ts';
import { EventHubsSource } from '../../../router/sources/event-hubs/source.ts';
import { mqttSourceOptions } from '../../../router/sources/mqtt/options.ts';
import { MqttSource } from '../../../router/sources/mqtt/source.ts';
import { PubSubSource } from '../../../router/sources/pubsub/source.ts';
import type { DeliveryHandler, Source } from '../../../router/sources/source.ts';
import { SqsSource } from '../../../router/sources/sqs/source.ts';
import { memoryCheckpoints, startAzure } from '../../loopback/azure-fixture.ts';
import { deps, startGcp } from '../../loopback/gcp-support.ts';
import { startAws } from '../../loopback/start-aws.ts';
import { startApi } from '../../router/sources/https/support.ts';
import { startBroker } from '../providers/mqtt/support.ts';

export interface RefusingCloud {
  publisher: Publisher;
  /** Messages that it has refused by its rule, and their bytes. */
  refused(): { messages: number; bytes: number };
}

export interface CloudType {
  /** Largest envelope that the type is known to take. */
  bytesMax: number;
  /** A refusal is the end of the connection: the protocol has no other. */
  cuts: boolean;
  start(t: Test, handler: DeliveryHandler, rule: RefusalRule): Promise<RefusingCloud>;
}

const ROUTER_BYTES_MAX = 512 * 1024;
const BROKER_BYTES_MAX = 256 * 1024;

async function reading(t: Test, source: Source, handler: DeliveryHandler): Promise<void> {
  await source.start(handler);
  t.after(() => source.stop());
}

/** In a folder of its own: the router beside it takes the test's, and the file is read at each connect. */
async function ownAuthority(t: Test): Promise<{ ca: CertificateAuthority; caFile: string }> {
  const directory = mkdtempSync(join(tmpdir(), 'headgate-ca-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const ca = await createCertificateAuthority(deps.clock, deps.entropy);
  const caFile = join(directory, 'ca.pem');
  writeFileSync(caFile, ca.ca);
  return { ca, caFile };
}

function azure(websocket: boolean): CloudType {
  return {
    bytesMax: AZURE_ENVELOPE_BYTES_MAX,
    cuts: true,
    async start(t, handler, rule) {
      const { cloud } = await startAzure(t, await ownAuthority(t));
      cloud.refusal.set(rule);
      const reader = { ...deps, checkpoints: memoryCheckpoints(), watchdogMs: 60_000, leaseMs: 15_000 };
      const source = new EventHubsSource('azure', eventHubsOptions.parse(cloud.routerConfig()), reader);
      await reading(t, source, handler);
      const options = azureOptions.parse({ ...cloud.agentConfig('gw-1'), websocket });
      return { publisher: await openAzurePublisher(options, deps), refused: () => cloud.refusal.counted };
    },
  };
}

export const CLOUDS: Readonly<Record<string, CloudType>> = {
  aws: {
    bytesMax: AWS_ENVELOPE_BYTES_MAX,
    cuts: false,
    async start(t, handler, rule) {
      const { cloud, agent, router } = await startAws(t);
      cloud.refusal.set(rule);
      await reading(t, new SqsSource('aws', router, deps), handler);
      return { publisher: await openAwsPublisher(agent, deps), refused: () => cloud.refusal.counted };
    },
  },
  azure: azure(false),
  'azure over WebSocket': azure(true),
  gcp: {
    bytesMax: GCP_ENVELOPE_BYTES_MAX,
    cuts: false,
    async start(t, handler, rule) {
      const { cloud, agent, router } = await startGcp(t);
      cloud.refusal.set(rule);
      await reading(t, new PubSubSource('gcp', router, deps), handler);
      return { publisher: await openGcpPublisher(agent, deps), refused: () => cloud.refusal.counted };
    },
  },
  mqtt: {
    bytesMax: BROKER_BYTES_MAX,
    cuts: true,
    async start(t, handler, rule) {
      const broker = await startBroker(t);
      broker.refusal.set(rule);
      const url = `mqtt://127.0.0.1:${broker.port}`;
      await reading(t, new MqttSource('mqtt', mqttSourceOptions.parse({ url }), deps), handler);
      const publisher = await openMqttPublisher(mqttOptions.parse({ url }), deps);
      return { publisher, refused: () => broker.refusal.counted };
    },
  },
  https: { bytesMax: ROUTER_BYTES_MAX, cuts: false, start: (t, handler, rule) => router(t, handler, rule) },
};

/** A router of one's own. `bytesMax`: what the gateway believes that it takes. */
export async function router(
  t: Test,
  handler: DeliveryHandler,
  { bytesMax = 16 * 2 ** 20, topic }: RefusalRule,
  believed = ROUTER_BYTES_MAX,
): Promise<RefusingCloud> {
  const refusal = new PermanentRefusal();
  if (topic !== undefined) refusal.set({ topic });
  const api = await startApi(t, {
    options: { max_body: `${bytesMax}B` },
    async handler(delivery) {
      if (refusal.verdict(delivery.bytes) === null) return handler(delivery);
      delivery.onDeadLetter?.('record');
      return 'settle';
    },
  });
  const options = httpsOptions.parse({
    url: api.url,
    ca_file: api.caFile,
    token_key_file: api.keyFile('gw-1'),
    max_envelope_bytes: `${believed}B`,
  });
  const refused = (): { messages: number; bytes: number } => {
    const messages = refusal.counted.messages + (api.source.refusals().get('too-large') ?? 0);
    return { messages, bytes: refusal.counted.bytes };
  };
  return { publisher: await openHttpsPublisher(options, deps), refused };
}
