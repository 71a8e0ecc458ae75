/**
 * `config check --connect` of an event hub. A receiver without an epoch reads beside those of the routers and
 * takes nothing away from them; a consumer group allows five on a partition (Event Hubs quotas).
 */
import { readFile } from 'node:fs/promises';
import type { EventHubConsumerClient, Subscription } from '@azure/event-hubs';
import type { Clock } from '../../../shared/clock.ts';
import { type ConnectCheck, PhaseFailure } from '../../../shared/connect-check/phases.ts';
import { wayPhases } from '../../../shared/connect-check/way.ts';
import { errorText } from '../../../shared/log.ts';
import { NO_PROXY } from '../../../shared/network/options.ts';
import { endpointOf, openConsumer } from './consumer.ts';
import type { EventHubsOptions } from './options.ts';

export async function eventHubsConnectCheck(options: EventHubsOptions, clock: Clock): Promise<ConnectCheck> {
  const { ca_file: caFile, credentials } = options;
  const { host, port, isWebSocket } = endpointOf(options);
  const ca = caFile === undefined ? null : await readFile(caFile, 'utf8');
  const way = wayPhases({
    targets: [{ host, port }],
    option: 'credentials.connection_string',
    tls: { option: 'ca_file', read: async () => (ca === null ? {} : { ca }) },
    // Without a WebSocket it is direct.
    network: { ...options, isSecure: true, ...(!isWebSocket && { proxy: NO_PROXY }) },
    clock,
  });
  const over = new AbortController();
  const ended = Promise.withResolvers<never>();
  ended.promise.catch(() => undefined);
  const client = openConsumer({
    sdk: await import('@azure/event-hubs'),
    options,
    ca,
    clock,
    signal: over.signal,
    onClose: (error) => ended.reject(error ?? new Error('the service ended the connection')),
  });
  /** The SDK quotes the connection string in its error messages. */
  const told = async <Result>(work: Promise<Result>): Promise<Result> => {
    try {
      return await Promise.race([work, ended.promise]);
    } catch (error) {
      throw failure(error, credentials.connection_string);
    }
  };
  let partitions: readonly string[] = [];
  return {
    phases: [
      ...way.phases,
      {
        name: 'login',
        option: 'credentials.connection_string',
        run: async (abortSignal) => {
          partitions = (await told(client.getEventHubProperties({ abortSignal }))).partitionIds;
          return `${partitions.length} partitions`;
        },
      },
      { name: 'read', option: 'consumer_group', run: (signal) => told(peek(client, partitions, signal)) },
    ],
    close: async () => {
      way.close();
      await client.close().finally(() => over.abort());
    },
  };
}

/** The newest event of a partition that has one; the oldest may expire meanwhile. */
async function peek(
  client: EventHubConsumerClient,
  partitions: readonly string[],
  abortSignal: AbortSignal,
): Promise<string> {
  for (const partition of partitions) {
    const found = await client.getPartitionProperties(partition, { abortSignal });
    if (found.isEmpty || found.lastEnqueuedSequenceNumber < 0) continue;
    await receiveOne(client, partition, found.lastEnqueuedSequenceNumber);
    return `an event of partition ${partition} was read; no position moved`;
  }
  return 'no event waited';
}

function receiveOne(
  client: EventHubConsumerClient,
  partition: string,
  sequenceNumber: number,
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const subscription: Subscription = client.subscribe(
    partition,
    {
      processEvents: async (events) => {
        if (events.length > 0) resolve();
      },
      processError: async (error) => reject(error),
    },
    { startPosition: { sequenceNumber, isInclusive: true }, maxBatchSize: 1, prefetchCount: 1 },
  );
  return promise.finally(() => subscription.close().catch(() => undefined));
}

function failure(error: unknown, connectionString: string): Error {
  const text = errorText(error).replaceAll(connectionString, '[redacted]');
  const code: unknown = Reflect.get(Object(error), 'code');
  if (code === 'UnauthorizedError') {
    const fix = 'the policy needs Listen (service connect), and its present key; check the clock';
    return new PhaseFailure(text, { option: 'credentials.connection_string', fix });
  }
  if (code === 'MessagingEntityNotFoundError') {
    const fix = 'check the name of the event hub (EntityPath) and that the consumer group exists';
    return new PhaseFailure(text, { fix });
  }
  return Object.assign(new Error(text), typeof code === 'string' ? { code } : {});
}
