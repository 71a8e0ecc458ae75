/** The vendor's client of Pub/Sub, for requests without a stream. */
import type { PubSub } from '@google-cloud/pubsub';
import type { Clock } from '../clock.ts';
import type { GcpAccess } from './access-options.ts';
import { gcpChannel } from './connection.ts';
import { openGcpCredentials, withCalls } from './credentials.ts';
import { SocketHold } from './socket-hold.ts';

export interface PubSubConnection {
  client: PubSub;
  /** Cuts the connections. */
  close(): Promise<void>;
}

/** Loads the SDK; connects with the first request. Rejects when the credentials cannot be made. */
export async function openPubSub(options: GcpAccess, clock: Clock): Promise<PubSubConnection> {
  const { PubSub } = await import('@google-cloud/pubsub');
  const trust = await openGcpCredentials(options, clock);
  const { client: channel, tunnel } = gcpChannel(options);
  const sockets = new SocketHold(trust.channel, { tunnel, clock });
  const client = new PubSub({
    projectId: options.project,
    ...channel,
    apiEndpoint: `${channel.servicePath}:${channel.port}`,
    emulatorMode: false,
    sslCreds: withCalls(sockets, trust),
  });
  const close = async (): Promise<void> => {
    sockets.cut();
    await client.close();
  };
  return { client, close };
}
