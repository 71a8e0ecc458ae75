/**
 * Opens a provider's publisher by its type. Each SDK is loaded only when a provider of its type is enabled:
 * the three together cost some 90 MB that a small gateway has better use for.
 */
import type { ProviderDeps, ProviderEntry, ProviderType } from './provider-type.ts';
import type { Publisher } from './publisher.ts';
import { SupervisedPublisher } from './supervised.ts';

/**
 * Loads credentials and SDK anew. Rejects when a file that the entry names cannot be read, or is not what it
 * should be. The publisher opens by itself again when its SDK gets stuck.
 */
export async function openPublisher(
  type: ProviderType,
  entry: ProviderEntry,
  deps: ProviderDeps,
): Promise<Publisher> {
  return supervised(type, entry, deps, await type.open(entry, deps));
}

/** A publisher that is there at once and opens in the background. */
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
