/** A topic for receipts and a gateway's subscription to it, as an operator makes them. */
import { PubSub } from '@google-cloud/pubsub';
import type { Test } from 'tap';
import type { PubSubOptions } from '../../../router/sources/pubsub/options.ts';
import { gcpChannel } from '../../../shared/gcp/connection.ts';
import { openGcpCredentials, withCalls } from '../../../shared/gcp/credentials.ts';
import { deps } from '../../loopback/gcp-support.ts';

export const TOPIC = 'headgate-receipts';
export const SUBSCRIPTION = 'gw-1-receipts';

/** Without `filter` the subscription gets every gateway's. */
export async function makeReceiptTopic(t: Test, access: PubSubOptions, filter?: string): Promise<PubSub> {
  const trust = await openGcpCredentials(access, deps.clock);
  const { servicePath, port, universeDomain } = gcpChannel(access).client;
  const pubsub = new PubSub({
    projectId: access.project,
    apiEndpoint: `${servicePath}:${port}`,
    universeDomain,
    emulatorMode: false,
    sslCreds: withCalls(trust.channel, trust),
  });
  t.teardown(() => pubsub.close());
  const [topic] = await pubsub.createTopic(TOPIC);
  await topic.createSubscription(SUBSCRIPTION, filter === undefined ? {} : { filter });
  return pubsub;
}
