/**
 * What the gateway must know of a type of provider. There is one descriptor per type, in the type's own
 * folder, and one line per type in the table (types.ts): everything else reads them there.
 *
 * A descriptor is loaded with the program, so it imports no SDK: only `open` loads what it needs.
 */
import { z } from 'zod';
import type { Clock } from '../../shared/clock.ts';
import { identifier } from '../../shared/config/kinds.ts';
import type { Logger } from '../../shared/log.ts';
import type { PriceList, SheetBasics } from '../../shared/pricing/sheet.ts';
import type { Tariff } from '../../shared/pricing/tariff.ts';
import type { Cut, Publisher } from './publisher.ts';
import type { TwinLink } from './twin-link.ts';

/** Options of every entry of `providers`. */
export const providerCommon = {
  name: identifier().describe('Your name for it: in the policy, in metrics, in logs.'),
  enabled: z.boolean().default(true).describe('false: configured, never used.'),
  priority: z.int().min(0).max(1000).default(100).describe('Lower comes first where scores are equal.'),
  price_sheet: z
    .string()
    .min(1)
    .optional()
    .describe(
      'JSON or YAML file of prices that differ from those that ship; a relative path starts at this file.',
    ),
  account_share: z
    .number()
    .positive()
    .max(1)
    .default(1)
    .describe(
      'This gateway’s share of the account’s free allotments, price tiers, and IoT Hub’s quota and fee: 0.01 where a hundred publish to it.',
    ),
};

/** What every entry has once it is parsed, whatever its type. */
export type ProviderEntry = z.output<z.ZodObject<typeof providerCommon>> & {
  type: string;
  /** Absent where the provider is in no region: then it takes no stream that has a residency (I4). */
  region?: string | undefined;
  /** Absent where topics are not metered. */
  topic_prefix?: string | undefined;
};

export interface ProviderDeps {
  /** Told of each connection that the provider cut in a way that may be a silent limit (IoT Hub). */
  onCut?: (cut: Cut) => void;
  /** Reads the twin of the provider's device over the publisher's connection (IoT Hub). */
  twin?: TwinLink | undefined;
  clock: Clock;
  log: Logger;
}

/** Wall-clock milliseconds between which credentials are good, by their own word. */
export interface Validity {
  readonly fromMs: number;
  readonly untilMs: number;
}

/** What is known of an entry's credentials before they are shown to anybody. */
export interface CredentialRules<Entry> {
  /** The entry with its next credentials in place of the present ones; null when it has none. */
  next(entry: Entry): Entry | null;
  /** The files that hold them; renewed in place, they are taken up. */
  files(entry: Entry): string[];
  /** Their life by their own word, null when they tell no end; `nowMs` stands for a beginning not told. */
  validity(entry: Entry, nowMs: number): Promise<Validity | null>;
}

/** A mistake in an entry that its schema cannot see. */
export interface ProviderIssue {
  /** Within the entry. */
  path: PropertyKey[];
  message: string;
  hint: string;
}

/** The methods take entries that the type's own schema has parsed. */
export interface ProviderType<
  Entry extends ProviderEntry = ProviderEntry,
  Sheet extends SheetBasics = SheetBasics,
> {
  readonly type: string;
  /** For the table of types in the documentation. */
  readonly doc: {
    /** `Azure IoT Hub`. */
    name: string;
    /** How a publish travels: `MQTT over TLS`. */
    transport: string;
  };
  /** The schema of an entry of this type, common options included. */
  readonly entry: z.ZodType<Entry> & z.core.$ZodTypeDiscriminable;
  /** What it charges by default. */
  readonly prices: PriceList<Sheet>;
  /** Its tariff by `sheet`, which is one of `prices`. */
  tariff(entry: Entry, sheet: Sheet): Tariff;
  readonly credentials: CredentialRules<Entry>;
  /** Largest envelope, in bytes, that fits its message limit with topic and properties. */
  maxEnvelopeBytes(entry: Entry): number;
  /**
   * Loads the SDK. Rejects when a file that the entry names cannot be read, or is not what it should be.
   */
  open(entry: Entry, deps: ProviderDeps): Promise<Publisher>;
  /** What of the entry does not fit this gateway, or itself. */
  check?(entry: Entry, gateway: string): ProviderIssue[];
}

/** A table of types. */
export type ProviderTypes<Entry extends ProviderEntry = ProviderEntry> = readonly [
  ProviderType<Entry>,
  ...ProviderType<Entry>[],
];

/** The descriptor of an entry. Throws for a type that is not in the table: the schema lets none pass. */
export function typeOf(types: ProviderTypes, { type }: { type: string }): ProviderType {
  const found = types.find((one) => one.type === type);
  if (!found) throw new Error(`no provider type ${type}`);
  return found;
}
