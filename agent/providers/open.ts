/**
 * Opens a provider's publisher by type. Each SDK is loaded only when a provider of its type is enabled: the
 * three together cost some 90 MB that a small gateway has better use for.
 */
import type { Clock } from '../../shared/clock.ts';
import type { Logger } from '../../shared/log.ts';
import type { ProviderConfig } from '../config/config.ts';
import type { TwinLink } from './azure/twin-link.ts';
import type { Cut, Publisher } from './publisher.ts';
import { SupervisedPublisher } from './supervised.ts';

interface PublisherDeps {
  /** Told of each connection that the provider cut; only IoT Hub's publisher has something to tell. */
  onCut?: (cut: Cut) => void;
  /** Who reads the twin of the provider's device; of IoT Hub alone. */
  twin?: TwinLink | undefined;
  clock: Clock;
  log: Logger;
}

/**
 * Loads credentials and SDK anew. Rejects when a file that the entry names cannot be read, or is not what it
 * should be. What it resolves with opens by itself again when its SDK gets stuck.
 */
export async function openPublisher(config: ProviderConfig, deps: PublisherDeps): Promise<Publisher> {
  return supervised(config, deps, await openByType(config, deps));
}

/** A publisher that is there at once and opens in the background. */
export function supervisePublisher(config: ProviderConfig, deps: PublisherDeps): Publisher {
  return supervised(config, deps);
}

function supervised(config: ProviderConfig, deps: PublisherDeps, opened?: Publisher): Publisher {
  return new SupervisedPublisher({
    provider: config.name,
    type: config.type,
    open: () => openByType(config, deps),
    ...(opened && { opened }),
    ...deps,
  });
}

async function openByType(config: ProviderConfig, deps: PublisherDeps): Promise<Publisher> {
  switch (config.type) {
    case 'aws':
      return (await import('./aws/publisher.ts')).openAwsPublisher(config, deps);
    case 'azure':
      return (await import('./azure/publisher.ts')).openAzurePublisher(config, deps);
    case 'gcp':
      return (await import('./gcp/options.ts')).openGcpPublisher(config, deps);
    case 'mqtt':
      return (await import('./mqtt/options.ts')).openMqttPublisher(config, deps);
    case 'https':
      return (await import('./https/options.ts')).openHttpsPublisher(config, deps);
  }
}
