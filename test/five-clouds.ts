/**
 * One provider of each type: three loopback clouds and an MQTT broker in this process, and the router's own
 * endpoint, with the entries for the configurations of a gateway and a router.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { AwsCloud } from '../loopback/aws.ts';
import { AzureCloud } from '../loopback/azure.ts';
import { createCertificateAuthority, type KeyAndCertificate } from '../loopback/ca.ts';
import type { Cloud, OnStored } from '../loopback/cloud.ts';
import { GcpCloud } from '../loopback/gcp.ts';
import { systemClock as clock } from '../shared/clock.ts';
import { systemEntropy as entropy } from '../shared/entropy.ts';
import { createLogger } from '../shared/log.ts';
import { startPlainBroker } from './plain-broker.ts';
import { freePort } from './servers/free-port.ts';

const silent = createLogger({ level: 'silent', levels: {} });

export const FIVE = ['aws', 'azure', 'gcp', 'mqtt', 'https'] as const;
/** Those that keep what the gateway sends on a machine that is not the router. */
export type Keeper = 'aws' | 'azure' | 'gcp' | 'mqtt';

type Entry = Record<string, unknown> & { name: string };

export interface FiveClouds {
  clouds: Record<'aws' | 'azure' | 'gcp', Cloud>;
  /** For agent.yaml of `gateway`, and for router.yaml, in the order of {@link FIVE}. */
  providers: readonly Entry[];
  sources: readonly Entry[];
  /** Ends the MQTT broker alone. */
  stopBroker(): Promise<void>;
  stop(): Promise<void>;
}

/** `onStored` is called with each message that one of them stores. */
export async function startFiveClouds(
  dir: string,
  gateway: string,
  onStored: (where: Keeper, message: string) => void = () => undefined,
): Promise<FiveClouds> {
  const ca = await createCertificateAuthority(clock, entropy);
  const caFile = join(dir, 'ca.pem');
  writeFileSync(caFile, ca.ca);
  const keeping = (where: Keeper): { onStored: OnStored } => ({
    onStored: (message) => onStored(where, message),
  });
  const options = { ca, caFile, clock, entropy, log: silent };
  const aws = new AwsCloud({ ...options, ...keeping('aws') });
  const azure = new AzureCloud({ ...options, ...keeping('azure') });
  const gcp = new GcpCloud({ ...options, ...keeping('gcp') });
  const clouds = [aws, azure, gcp];
  await Promise.all(clouds.map((cloud) => cloud.start()));
  const broker = await startPlainBroker(keeping('mqtt'));
  const mqtt = { name: 'mqtt', type: 'mqtt', url: `mqtt://127.0.0.1:${broker.port}` };
  const port = await freePort();
  const server = writePair(dir, 'server', await ca.issue('localhost', 'server'));
  const client = writePair(dir, 'client', await ca.issue(gateway, 'client'));
  const url = `https://localhost:${port}`;
  let isBrokerUp = true;
  const stopBroker = async (): Promise<void> => {
    if (isBrokerUp) await broker.stop();
    isBrokerUp = false;
  };
  return {
    clouds: { aws, azure, gcp },
    providers: [
      ...clouds.map((cloud) => ({ ...cloud.agentConfig(gateway), name: cloud.name })),
      mqtt,
      { name: 'https', type: 'https', url, ca_file: caFile, ...client },
    ],
    sources: [
      ...clouds.map((cloud) => ({ ...cloud.routerConfig(), name: cloud.name })),
      { ...mqtt, topic_authenticated: true },
      { name: 'https', type: 'https', port, client_ca_file: caFile, ...server },
    ],
    stopBroker,
    async stop() {
      await Promise.all(clouds.map((cloud) => cloud.stop()));
      await stopBroker();
    },
  };
}

function writePair(dir: string, name: string, { cert, key }: KeyAndCertificate) {
  const files = { cert_file: join(dir, `${name}.crt`), key_file: join(dir, `${name}.key`) };
  writeFileSync(files.cert_file, cert);
  writeFileSync(files.key_file, key, { mode: 0o600 });
  return files;
}
