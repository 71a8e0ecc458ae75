/** The vendor's client of one hub over one {@link ByteStream}, without the SDK's own retries. */
import type { EventHubConsumerClient } from '@azure/event-hubs';
import type { Clock } from '../../../shared/clock.ts';
import { proxyFor } from '../../../shared/network/proxy.ts';
import { ByteStream, type ByteStreamOptions } from './byte-stream.ts';
import { type EventHubsOptions, hubOf } from './options.ts';

/** AMQP over TLS, and AMQP over WebSocket ("AMQP 1.0 protocol guide", "Connections and sessions"). */
const TLS_PORT = 5671;
const WEBSOCKET_PORT = 443;

export interface ConsumerOptions {
  sdk: { EventHubConsumerClient: typeof EventHubConsumerClient };
  options: EventHubsOptions;
  /** PEM of the authorities to trust; null for the usual ones. */
  ca: string | null;
  clock: Clock;
  signal: AbortSignal;
  onClose: ByteStreamOptions['onClose'];
}

/** Where the endpoint is. Throws when the environment's proxy is no URL. */
export function endpointOf(
  { credentials, websocket, proxy }: EventHubsOptions,
  env?: Readonly<Record<string, string | undefined>>,
): { host: string; port: number; isWebSocket: boolean } {
  const named = /Endpoint=sb:\/\/([^/:;]+)(?::(\d+))?/i.exec(credentials.connection_string);
  const [host, port] = [named?.[1] ?? '', named?.[2]];
  const webSocketPort = Number(port ?? WEBSOCKET_PORT);
  const way = proxyFor({ host, port: webSocketPort, isSecure: true }, proxy, env);
  const isWebSocket = websocket || way !== null;
  return { host, port: isWebSocket ? webSocketPort : Number(port ?? TLS_PORT), isWebSocket };
}

export function openConsumer(options: ConsumerOptions): EventHubConsumerClient {
  const { sdk, options: entry, ca, clock, signal, onClose } = options;
  const streamOptions: ByteStreamOptions = {
    ...endpointOf(entry),
    ca,
    network: entry,
    clock,
    signal,
    onClose,
  };
  return new sdk.EventHubConsumerClient(
    entry.consumer_group,
    entry.credentials.connection_string,
    hubOf(entry) ?? '',
    {
      retryOptions: { maxRetries: 0 },
      webSocketOptions: { webSocket: ByteStream, webSocketConstructorOptions: streamOptions },
    },
  );
}
