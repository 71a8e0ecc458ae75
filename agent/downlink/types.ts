/** The table of downlink types. A new one is a file with its question, and an entry here. */
import { z } from 'zod';
import type { DownlinkType } from './downlink-type.ts';
import { LongPoll } from './long-poll.ts';
import {
  type AwsDownlinkConfig,
  type AzureDownlinkConfig,
  awsDownlink,
  azureDownlink,
  type GcpDownlinkConfig,
  gcpDownlink,
  type HttpsDownlinkConfig,
  httpsDownlink,
} from './options.ts';
import { ShadowQuestion } from './shadow.ts';
import { SubscriptionQuestion } from './subscription.ts';
import { TwinQuestion } from './twin.ts';

const longPoll: DownlinkType<HttpsDownlinkConfig> & { entry: typeof httpsDownlink } = {
  type: 'https',
  entry: httpsDownlink,
  question: (config, deps) => new LongPoll({ config, ...deps }),
};

const subscription: DownlinkType<GcpDownlinkConfig> & { entry: typeof gcpDownlink } = {
  type: 'gcp',
  entry: gcpDownlink,
  question: (config, deps) => new SubscriptionQuestion({ config, ...deps }),
};

const shadow: DownlinkType<AwsDownlinkConfig> & { entry: typeof awsDownlink } = {
  type: 'aws',
  entry: awsDownlink,
  question: (config, deps) => new ShadowQuestion({ config, ...deps }),
};

const twin: DownlinkType<AzureDownlinkConfig> & { entry: typeof azureDownlink } = {
  type: 'azure',
  entry: azureDownlink,
  providerOf: ({ provider }) => provider,
  question(config, { twins, ...deps }) {
    const link = twins.get(config.provider);
    if (!link) throw new Error('a downlink without its twin link passed the schema');
    return new TwinQuestion({ config, link, ...deps });
  },
};

const types = [longPoll, subscription, shadow, twin] as const;

export const DOWNLINK_TYPES = types;

const [first, ...others] = types;

export const downlinkSchema = z
  .discriminatedUnion('type', [first.entry, ...others.map(({ entry }) => entry)])
  .describe('A way from the router to this gateway.');

/** An entry of `downlinks`, of any type in the table. */
export type DownlinkConfig = z.output<(typeof types)[number]['entry']>;
