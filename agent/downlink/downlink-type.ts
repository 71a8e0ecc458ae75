/**
 * The gateway's description of a type of downlink. There is one descriptor per type in the table (types.ts).
 */
import type { z } from 'zod';
import type { Clock } from '../../shared/clock.ts';
import type { Entropy } from '../../shared/entropy.ts';
import type { Logger } from '../../shared/log.ts';
import type { TwinLink } from '../providers/twin-link.ts';
import type { ReceiptQuestion } from './downlink.ts';
import type { ReceiptTracker } from './receipt-tracker.ts';
import type { ReceiptReceiver } from './receiver.ts';

export interface DownlinkDeps {
  gateway: string;
  receiver: ReceiptReceiver;
  tracker: Pick<ReceiptTracker, 'onRouterAnswer' | 'onCloudReceipt' | 'onRouterSilent' | 'isWaiting'>;
  twins: ReadonlyMap<string, TwinLink>;
  clock: Clock;
  entropy: Entropy;
  log: Logger;
}

/** The fields of every parsed entry of `downlinks`. */
interface DownlinkEntry {
  type: string;
  name: string;
}

/** The methods take entries that the type's own schema has parsed. */
export interface DownlinkType<Entry extends DownlinkEntry = DownlinkEntry> {
  readonly type: string;
  readonly entry: z.ZodType<Entry> & z.core.$ZodTypeDiscriminable;
  /** The provider through whose connection its twin is read. */
  providerOf?(entry: Entry): string;
  /** Loads no SDK before it is asked. */
  question(entry: Entry, deps: DownlinkDeps): ReceiptQuestion;
}
