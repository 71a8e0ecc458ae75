/** Creates a configured downlink by its type. */
import type { Clock } from '../../shared/clock.ts';
import type { Entropy } from '../../shared/entropy.ts';
import type { Logger } from '../../shared/log.ts';
import { TwinLink } from '../providers/twin-link.ts';
import { Downlink, type ReceiptQuestion } from './downlink.ts';
import { LongPoll } from './long-poll.ts';
import type { DownlinkConfig } from './options.ts';
import type { ReceiptTracker } from './receipt-tracker.ts';
import type { ReceiptReceiver } from './receiver.ts';
import { ShadowQuestion } from './shadow.ts';
import { SubscriptionQuestion } from './subscription.ts';
import { TwinQuestion } from './twin.ts';

export interface DownlinkDeps {
  gateway: string;
  receiver: ReceiptReceiver;
  tracker: Pick<ReceiptTracker, 'onRouterAnswer' | 'onCloudReceipt' | 'onRouterSilent' | 'isWaiting'>;
  twins: ReadonlyMap<string, TwinLink>;
  clock: Clock;
  entropy: Entropy;
  log: Logger;
}

/**
 * By provider: the link between its connections and the downlink through its twin. `metered` is told the
 * payload bytes that the hub bills.
 */
export function twinLinks(
  downlinks: readonly DownlinkConfig[],
  metered: (provider: string, bytes: number) => void,
): Map<string, TwinLink> {
  return new Map(
    downlinks.flatMap((config) =>
      config.type === 'azure'
        ? [[config.provider, new TwinLink((bytes) => metered(config.provider, bytes))]]
        : [],
    ),
  );
}

/** The downlink connects with `start`. */
export function openDownlink(config: DownlinkConfig, deps: DownlinkDeps): Downlink {
  return new Downlink({ name: config.name, question: question(config, deps), ...deps });
}

function question(config: DownlinkConfig, deps: DownlinkDeps): ReceiptQuestion {
  switch (config.type) {
    case 'https':
      return new LongPoll({ config, ...deps });
    case 'aws':
      return new ShadowQuestion({ config, ...deps });
    case 'gcp':
      return new SubscriptionQuestion({ config, ...deps });
    case 'azure':
      return new TwinQuestion({ config, link: linkTo(config.provider, deps), ...deps });
  }
}

function linkTo(provider: string, { twins }: DownlinkDeps): TwinLink {
  const link = twins.get(provider);
  if (!link) throw new Error('a downlink without its twin link passed the schema');
  return link;
}
