/**
 * Which dead letters and versions in conflict leave when there are too many: a pure decision (I11). Each
 * gateway has an account at each source, and a share that its account may hold. Beyond the share its own
 * oldest rows leave. Beyond the bound of all, the accounts that hold most shrink to one level. So a flood
 * pushes out its own rows, and none of an account that holds less.
 *
 * Per source, like the quotas (router/quotas): the owner of one cloud account can send genuine envelopes
 * again. Messages whose gateway nothing proves are one account of their source, which has no share: only the
 * bound of all.
 */
import { matchesPattern } from './stream-pattern.ts';

/** Rows and bytes that may be held; infinite without a bound. */
export interface Share {
  rowsMax: number;
  bytesMax: number;
}

/** A gateway's rows that came through one source. `gateway`: empty where nothing proves it. */
export interface Account {
  source: string;
  gateway: string;
}

/** The holding of an account. */
export interface AccountHeld extends Account {
  rows: number;
  /** Whole rows: texts, keys and the engine's overhead too. */
  bytes: number;
}

/** The bound of an account that holds more than it may. */
export interface AccountCap extends Account, Share {}

/** Rows that left because of a share or the bound of all. */
export interface Dropped extends Account {
  table: 'conflict' | 'dead_letter';
  rows: number;
}

/** Told of rows that leave because of a share or the bound of all. */
export type OnDropped = (dropped: Dropped) => void;

/** The share of each gateway. As plain data: it goes to the ledger's thread. 0 is no bound. */
export interface ShareRules {
  rows: number;
  bytes: number;
  /** The first group with the gateway counts; an absent bound is as for all. */
  groups: readonly {
    gateways: readonly string[];
    rows?: number | undefined;
    bytes?: number | undefined;
  }[];
}

/** The bounds of dead letters, or of versions in conflict, of an engine that holds them in a table. */
export interface EvidenceLimits extends Share {
  /** By wall time of receipt. Default: no bound. */
  ageMsMax?: number;
  /** Of each gateway at each source. Default: no bound but that of all. */
  shares?: ShareRules;
}

export const NO_SHARES: ShareRules = { rows: 0, bytes: 0, groups: [] };

/** `quotas` of router.yaml, as far as they bound evidence. */
export interface EvidenceQuotas extends Record<Bound, number> {
  groups: readonly ({ gateways: readonly string[] } & { [Name in Bound]?: number | undefined })[];
}

type Bound = 'dead_letters' | 'dead_letter_bytes' | 'conflicts' | 'conflict_bytes';

/** The shares of dead letters and of versions in conflict. */
export function sharesOf(
  quotas: EvidenceQuotas | undefined,
): Record<'deadLetters' | 'conflicts', ShareRules> {
  if (quotas === undefined) return { deadLetters: NO_SHARES, conflicts: NO_SHARES };
  const of = (rows: Bound, bytes: Bound): ShareRules => ({
    rows: quotas[rows],
    bytes: quotas[bytes],
    groups: quotas.groups.map((own) => ({ gateways: own.gateways, rows: own[rows], bytes: own[bytes] })),
  });
  return {
    deadLetters: of('dead_letters', 'dead_letter_bytes'),
    conflicts: of('conflicts', 'conflict_bytes'),
  };
}

const UNBOUNDED: Share = { rowsMax: Number.POSITIVE_INFINITY, bytesMax: Number.POSITIVE_INFINITY };

function shareOf(rules: ShareRules, gateway: string): Share {
  // Of any number of gateways: the bound of all is theirs.
  if (gateway === '') return UNBOUNDED;
  const own = rules.groups.find(({ gateways }) => gateways.some((name) => matchesPattern(name, gateway)));
  const bound = (value: number): number => (value === 0 ? Number.POSITIVE_INFINITY : value);
  return { rowsMax: bound(own?.rows ?? rules.rows), bytesMax: bound(own?.bytes ?? rules.bytes) };
}

/** The accounts that hold too much, with what they may hold. `all`: the bound of all together. */
export function capsOf(accounts: readonly AccountHeld[], rules: ShareRules, all: Share): AccountCap[] {
  const within = accounts.map(({ source, gateway, rows, bytes }) => {
    const share = shareOf(rules, gateway);
    const kept = { rows: Math.min(rows, share.rowsMax), bytes: Math.min(bytes, share.bytesMax) };
    return { source, gateway, held: { rows, bytes }, share, kept };
  });
  const rowsLevel = levelOf(
    within.map(({ kept }) => kept.rows),
    all.rowsMax,
  );
  const bytesLevel = levelOf(
    within.map(({ kept }) => kept.bytes),
    all.bytesMax,
  );
  return within
    .map(({ source, gateway, held, share }) => {
      const rowsMax = Math.min(share.rowsMax, rowsLevel);
      const bytesMax = Math.min(share.bytesMax, bytesLevel);
      return { held, cap: { source, gateway, rowsMax, bytesMax } };
    })
    .filter(({ held, cap }) => held.rows > cap.rowsMax || held.bytes > cap.bytesMax)
    .map(({ cap }) => cap);
}

/** The highest level at which the parts of all values up to it are at most `max`; infinite when all fit. */
function levelOf(values: readonly number[], max: number): number {
  const ascending = values.toSorted((a, b) => a - b);
  let left = max;
  for (const [i, value] of ascending.entries()) {
    const even = Math.floor(left / (ascending.length - i));
    if (value > even) return even;
    left -= value;
  }
  return Number.POSITIVE_INFINITY;
}
