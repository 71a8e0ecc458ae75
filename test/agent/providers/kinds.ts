/** The five types of provider, each with its real SDK and the real thing or the loopback cloud behind it. */
import type { Test } from 'tap';
import { openAwsPublisher } from '../../../agent/providers/aws/publisher.ts';
import { azureOptions } from '../../../agent/providers/azure/options.ts';
import { openAzurePublisher } from '../../../agent/providers/azure/publisher.ts';
import { openGcpPublisher } from '../../../agent/providers/gcp/publisher.ts';
import { httpsOptions } from '../../../agent/providers/https/options.ts';
import { openHttpsPublisher } from '../../../agent/providers/https/publisher.ts';
import { mqttOptions } from '../../../agent/providers/mqtt/options.ts';
import { openMqttPublisher } from '../../../agent/providers/mqtt/publisher.ts';
import type { Publisher } from '../../../agent/providers/publisher.ts';
import type { NetworkAccess } from '../../../shared/network/options.ts';
import { startAzure } from '../../loopback/azure-fixture.ts';
import { deps, startGcp } from '../../loopback/gcp-support.ts';
import { startAws } from '../../loopback/start-aws.ts';
import { startApi } from '../../router/sources/https/support.ts';
import { startBroker } from './mqtt/support.ts';

export interface Cloud {
  port: number;
  /** Publishes that have arrived, ever. */
  arrived(): number;
  /** A new publisher, which reaches the cloud by this port, and by this way. */
  open(port: number, network?: NetworkAccess): Promise<Publisher>;
}

export interface Kind {
  /** A try can be cancelled after it has left. */
  isRecallable: boolean;
  /** Its publishes share one connection. */
  isShared: boolean;
  start(t: Test): Promise<Cloud>;
}

export const KINDS: Record<string, Kind> = {
  aws: {
    isRecallable: true,
    isShared: false,
    async start(t) {
      const { cloud, agent } = await startAws(t);
      const { port } = new URL(agent.endpoint);
      return {
        port: Number(port),
        arrived: () => cloud.meter().accepted,
        open: (via, network) =>
          openAwsPublisher({ ...agent, ...network, endpoint: `https://localhost:${via}` }, deps),
      };
    },
  },
  azure: {
    isRecallable: false,
    isShared: true,
    async start(t) {
      const { cloud } = await startAzure(t);
      const config = cloud.agentConfig('gw-1');
      const through = (via: number | string): string =>
        JSON.stringify(config).replace(/GatewayHostName=localhost:(\d+)/, (_, port) => {
          target = Number(port);
          return `GatewayHostName=localhost:${via}`;
        });
      let target = 0;
      through('');
      return {
        port: target,
        arrived: () => cloud.meter().accepted,
        open: (via, network) =>
          openAzurePublisher(azureOptions.parse({ ...JSON.parse(through(via)), ...network }), deps),
      };
    },
  },
  gcp: {
    isRecallable: true,
    isShared: true,
    async start(t) {
      const { cloud, agent } = await startGcp(t);
      return {
        port: Number(agent.endpoint?.split(':')[1]),
        arrived: () => cloud.meter().accepted,
        open: (via, network) =>
          openGcpPublisher({ ...agent, ...network, endpoint: `localhost:${via}` }, deps),
      };
    },
  },
  mqtt: {
    isRecallable: false,
    isShared: true,
    async start(t) {
      const broker = await startBroker(t);
      return {
        port: broker.port,
        arrived: () => broker.published.length,
        open: (via) => openMqttPublisher(mqttOptions.parse({ url: `mqtt://127.0.0.1:${via}` }), deps),
      };
    },
  },
  https: {
    isRecallable: true,
    isShared: false,
    async start(t) {
      let arrived = 0;
      const handler = async () => {
        arrived += 1;
        return 'settle' as const;
      };
      const api = await startApi(t, { handler });
      const login = { ca_file: api.caFile, token_key_file: api.keyFile('gw-1') };
      return {
        port: api.source.port(),
        arrived: () => arrived,
        open: (via, network) =>
          openHttpsPublisher(
            httpsOptions.parse({ url: `https://localhost:${via}`, ...login, ...network }),
            deps,
          ),
      };
    },
  },
};
