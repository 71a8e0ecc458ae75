/** The table of downlink types. A new one is a file with its question, and a line here. */
import { z } from 'zod';
import { longPollType } from './long-poll.ts';
import { shadowType } from './shadow.ts';
import { subscriptionType } from './subscription.ts';
import { twinType } from './twin.ts';

const types = [longPollType, subscriptionType, shadowType, twinType] as const;

export const DOWNLINK_TYPES = types;

const [first, ...others] = types;

export const downlinkSchema = z
  .discriminatedUnion('type', [first.entry, ...others.map(({ entry }) => entry)])
  .describe('A way from the router to this gateway.');

/** An entry of `downlinks`, of any type in the table. */
export type DownlinkConfig = z.output<(typeof types)[number]['entry']>;
