/** Creates a configured downlink by the table of types. */
import { TwinLink } from '../providers/twin-link.ts';
import { Downlink } from './downlink.ts';
import type { DownlinkDeps, DownlinkType } from './downlink-type.ts';
import { DOWNLINK_TYPES, type DownlinkConfig } from './types.ts';

/**
 * By provider: the link between its connections and the downlink through its twin. `metered` is told the
 * payload bytes that the hub bills.
 */
export function twinLinks(
  downlinks: readonly DownlinkConfig[],
  metered: (provider: string, bytes: number) => void,
): Map<string, TwinLink> {
  const providers = downlinks.flatMap((config) => typeOf(config).providerOf?.(config) ?? []);
  return new Map(providers.map((provider) => [provider, new TwinLink((bytes) => metered(provider, bytes))]));
}

/** The downlink connects with `start`. */
export function openDownlink(config: DownlinkConfig, deps: DownlinkDeps): Downlink {
  return new Downlink({ name: config.name, question: typeOf(config).question(config, deps), ...deps });
}

/** Throws for a type that is not in the table: the schema lets none pass. */
function typeOf({ type }: DownlinkConfig): DownlinkType {
  const types: readonly DownlinkType[] = DOWNLINK_TYPES;
  const found = types.find((one) => one.type === type);
  if (!found) throw new Error(`no downlink type ${type}`);
  return found;
}
