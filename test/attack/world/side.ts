/** The provider of the agent: a loopback cloud, a broker, or the router itself; and a publisher for it. */
import { agentConfigSchema } from '../../../agent/config/config.ts';
import { openPublisher } from '../../../agent/providers/open.ts';
import { typeOf } from '../../../agent/providers/provider-type.ts';
import type { Publisher } from '../../../agent/providers/publisher.ts';
import { PROVIDER_TYPES } from '../../../agent/providers/types.ts';
import { AwsCloud } from '../../../loopback/aws.ts';
import { AzureCloud } from '../../../loopback/azure.ts';
import type { CertificateAuthority } from '../../../loopback/ca.ts';
import { GcpCloud } from '../../../loopback/gcp.ts';
import { systemClock as clock } from '../../../shared/clock.ts';
import { systemEntropy as entropy } from '../../../shared/entropy.ts';
import { createLogger } from '../../../shared/log.ts';
import { startPlainBroker } from '../../plain-broker.ts';
import type { Provider } from '../attack.ts';

const silent = createLogger({ level: 'silent', levels: {} });

export interface Side {
  provider: Record<string, unknown>;
  source: Record<string, unknown> | null;
  stop(): Promise<void>;
}

/** The provider's servers, and the entries of agent and router for them. */
export async function sideOf(
  provider: Provider,
  { ca, caFile, url, own }: { ca: CertificateAuthority; caFile: string; url: string; own: object },
): Promise<Side> {
  if (provider === 'https') {
    const entry = { name: 'attacked', type: 'https', url, ca_file: caFile, ...own };
    return { provider: entry, source: null, stop: () => Promise.resolve() };
  }
  if (provider === 'mqtt') {
    const broker = await startPlainBroker();
    const entry = { name: 'attacked', type: 'mqtt', url: `mqtt://127.0.0.1:${broker.port}` };
    return { provider: entry, source: { ...entry, topic_authenticated: true }, stop: broker.stop };
  }
  const options = { ca, caFile, clock, entropy, log: silent };
  const makes = { aws: AwsCloud, azure: AzureCloud, gcp: GcpCloud };
  const cloud = new makes[provider](options);
  await cloud.start();
  return {
    provider: cloud.agentConfig('gw-1'),
    source: cloud.routerConfig(),
    stop: () => cloud.stop(),
  };
}

/** Publishes with the rights of this entry of agent.yaml. */
export async function publisherOf(entry: Record<string, unknown>): Promise<Publisher> {
  const { providers } = agentConfigSchema.parse({
    gateway: 'gw-1',
    data_dir: '/nowhere',
    broker: { allow_anonymous: true, listeners: [{ type: 'tcp', host: '127.0.0.1', port: 0 }] },
    providers: [entry],
    policy: {},
  });
  const [provider] = providers;
  if (!provider) throw new Error('no provider');
  return openPublisher(typeOf(PROVIDER_TYPES, provider), provider, { clock, log: silent });
}
