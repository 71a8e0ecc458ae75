/**
 * Opens a provider's publisher by its type. Each SDK is loaded only when a provider of its type is enabled:
 * the three together take about 90 MB, too much for a small gateway.
 */
import type { ProviderDeps, ProviderEntry, ProviderType } from './provider-type.ts';
import type { Publisher } from './publisher.ts';
import { SupervisedPublisher } from './supervised.ts';

/**
 * Loads credentials and SDK anew. Rejects when a file of the entry is unreadable or invalid. The publisher
 * reopens by itself when its SDK gets stuck.
 */
export async function openPublisher(
  type: ProviderType,
  entry: ProviderEntry,
  deps: ProviderDeps,
): Promise<Publisher> {
  return supervised(type, entry, deps, await type.open(entry, deps));
}

/** Returns a publisher at once, which opens in the background. */
export function supervisePublisher(type: ProviderType, entry: ProviderEntry, deps: ProviderDeps): Publisher {
  return supervised(type, entry, deps);
}

function supervised(
  type: ProviderType,
  entry: ProviderEntry,
  deps: ProviderDeps,
  opened?: Publisher,
): Publisher {
  return new SupervisedPublisher({
    provider: entry.name,
    type: entry.type,
    open: () => type.open(entry, deps),
    ...(opened && { opened }),
    clock: deps.clock,
    log: deps.log,
  });
}
