/**
 * The descriptor of a provider type. There is one descriptor for each type, in the type's own folder, and one
 * line in the table (types.ts): all other code reads them there.
 *
 * A descriptor is loaded with the program, so it imports no SDK; only `open` loads one.
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
  name: identifier().describe('Your name for the provider, in the policy, metrics and logs.'),
  enabled: z.boolean().default(true).describe('false: the provider is configured but never used.'),
  priority: z
    .int()
    .min(0)
    .max(1000)
    .default(100)
    .describe('Order of providers with equal scores; lower comes first.'),
  price_sheet: z
    .string()
    .min(1)
    .optional()
    .describe(
      'JSON or YAML file of prices that replace the built-in ones; a relative path starts at this file.',
    ),
  account_share: z
    .number()
    .positive()
    .max(1)
    .default(1)
    .describe(
      'This gateway’s share of the account’s free allotments, price tiers, and IoT Hub’s quota and fee: 0.01 for each of a hundred gateways.',
    ),
};

/** Option of entries whose provider, or whose router, authenticates a name. */
export const identityOption = {
  identity: z
    .string()
    .min(1)
    .optional()
    .describe(
      'Authenticated name, where it differs from the gateway’s name and the router maps it (identities of its source).',
    ),
};

/** A parsed entry of any type. */
export type ProviderEntry = z.output<z.ZodObject<typeof providerCommon>> & {
  type: string;
  /** Absent for a provider without a region: it takes no stream with a residency (I4). */
  region?: string | undefined;
  /** Absent where topics are not metered. */
  topic_prefix?: string | undefined;
};

export interface ProviderDeps {
  /** Called for each connection that the provider cut in a way that may signal a limit (IoT Hub). */
  onCut?: (cut: Cut) => void;
  /** The reader of the device's twin over the publisher's connection (IoT Hub). */
  twin?: TwinLink | undefined;
  clock: Clock;
  log: Logger;
}

/** Wall-clock milliseconds of the credentials' stated beginning and expiry. */
export interface Validity {
  readonly fromMs: number;
  readonly untilMs: number;
}

/** The facts of an entry's credentials that are known without connecting. */
export interface CredentialRules<Entry> {
  /** The entry with its next credentials in place of the present ones; null when it has none. */
  next(entry: Entry): Entry | null;
  /** The credential files; a renewal in place is detected. */
  files(entry: Entry): string[];
  /** The stated validity; null without an expiry. `nowMs` replaces a missing beginning. */
  validity(entry: Entry, nowMs: number): Promise<Validity | null>;
}

/** A mistake in an entry that its schema cannot detect. */
export interface ProviderIssue {
  /** Path within the entry. */
  path: PropertyKey[];
  message: string;
  hint: string;
}

/** The facts beside the entry that a check may read. */
export interface CheckSite {
  /** Name of this gateway. */
  gateway: string;
  /** Text of a file; null when it is unreadable, which another check reports, or when files are not read. */
  read(file: string): string | null;
}

/** The methods take entries that the type's own schema has parsed. */
export interface ProviderType<
  Entry extends ProviderEntry = ProviderEntry,
  Sheet extends SheetBasics = SheetBasics,
> {
  readonly type: string;
  /** Row of the table of types in the documentation. */
  readonly doc: {
    /** Such as `Azure IoT Hub`. */
    name: string;
    /** The transport of a publish, such as `MQTT over TLS`. */
    transport: string;
  };
  /** The schema of an entry of this type, common options included. */
  readonly entry: z.ZodType<Entry> & z.core.$ZodTypeDiscriminable;
  /** The built-in prices. */
  readonly prices: PriceList<Sheet>;
  /** The tariff by `sheet`, one of `prices`. */
  tariff(entry: Entry, sheet: Sheet): Tariff;
  readonly credentials: CredentialRules<Entry>;
  /** Largest envelope, in bytes, that fits the message limit with topic and properties. */
  maxEnvelopeBytes(entry: Entry): number;
  /** Loads the SDK. Rejects when a file of the entry is unreadable or invalid. */
  open(entry: Entry, deps: ProviderDeps): Promise<Publisher>;
  /** The vendor's known regions; absent where the operator chooses the name of the region. */
  readonly regions?: readonly string[];
  /** For `config check`: mistakes of the entry in itself or with this gateway. */
  check?(entry: Entry, site: CheckSite): ProviderIssue[];
}

/** A table of types. */
export type ProviderTypes<Entry extends ProviderEntry = ProviderEntry> = readonly [
  ProviderType<Entry>,
  ...ProviderType<Entry>[],
];

/** The descriptor of an entry. Throws for a type that is not in the table, which the schema prevents. */
export function typeOf(types: ProviderTypes, { type }: { type: string }): ProviderType {
  const found = types.find((one) => one.type === type);
  if (!found) throw new Error(`no provider type ${type}`);
  return found;
}

/**
 * Reports an endpoint in another region than `region`, which residency is decided by: records would leave
 * their zone (I4). `named`: the region in the endpoint's host name, if any.
 */
export function otherRegion(region: string | undefined, named: string | undefined): ProviderIssue[] {
  if (region === undefined || named === undefined || named === region) return [];
  const message = `the endpoint is in ${named}, the region is ${region}: data_residency would be broken`;
  return [{ path: ['endpoint'], message, hint: `use the endpoint of ${region}, or region: ${named}` }];
}
