/**
 * Quotas per gateway and source. Per source, because whoever may publish at one source can send genuine
 * envelopes of any gateway again: the repeats use up the gateway's quota of that source alone.
 *
 * A gateway is `proven` by its provider's login or its signature. Others only claim a name, and have accounts
 * of their own: a claim uses up nothing of the gateway that proves itself.
 */
import type { Clock } from '../../shared/clock.ts';
import type { Logger } from '../../shared/log.ts';
import type { StreamKey } from '../../shared/record.ts';
import { SparseLog } from '../../shared/sparse-log.ts';
import type { Dropped } from '../ledger/rules/shares.ts';
import { Account, type OverQuota, type QuotaReason } from './account.ts';
import { type QuotaOptions, quotasOf } from './options.ts';

export interface Sender {
  source: string;
  gateway: string;
  isProven: boolean;
}

/**
 * `waits`: its source delivers the message again. `dead-letter`: it is kept aside. `dropped`: the oldest dead
 * letter, or version in conflict, of the gateway has left.
 */
export type OverQuotaOutcome = 'waits' | 'dead-letter' | 'dropped';

/** A gateway that was over a quota within the last hour, at one source. */
export interface OverQuotaState extends Sender {
  group: string;
  /** The one that it was over last. */
  quota: QuotaReason;
  /** Messages since it first was over, by outcome; rows for `dropped`. */
  outcomes: Record<OverQuotaOutcome, number>;
  firstWallMs: number;
  lastWallMs: number;
}

interface Count {
  source: string;
  quota: QuotaReason;
  outcome: OverQuotaOutcome;
  count: number;
}

interface Kept {
  sender: Sender;
  group: string;
  account: Account;
}

interface Over {
  state: OverQuotaState;
  lastMs: number;
}

/** Beyond, the account used least recently is forgotten (I10). */
interface QuotaBounds {
  /** Most accounts of gateways that prove their name, and of names that are claimed. */
  accounts: number;
  /** Most streams that all accounts remember together. */
  streams: number;
}

const BOUNDS: QuotaBounds = { accounts: 50_000, streams: 500_000 };
/** A gateway within its quotas for so long is said to be so no more. */
const OVER_MS = 3_600_000;
/** Most gateways that are said to be over a quota; beyond, the one that was over first is forgotten. */
const OVER_MAX = 1000;

export class Quotas {
  readonly #options: QuotaOptions;
  readonly #clock: Clock;
  readonly #log: SparseLog;
  readonly #proven: Accounts;
  readonly #claimed: Accounts;
  readonly #over = new Map<string, Over>();
  readonly #counts = new Map<string, Count>();

  constructor(
    options: QuotaOptions,
    { clock, log, bounds = BOUNDS }: { clock: Clock; log: Logger; bounds?: QuotaBounds },
  ) {
    this.#options = options;
    this.#proven = new Accounts(bounds);
    this.#claimed = new Accounts(bounds);
    this.#clock = clock;
    this.#log = new SparseLog({ log, clock });
  }

  /** Null for a message within the quotas, which counts. */
  message(sender: Sender, length: number): OverQuota | null {
    return this.#accountOf(sender).account.message(length, this.#clock.monoMs());
  }

  /** Null for an envelope of a known stream, or of a new one within the quota, which counts. */
  stream(sender: Sender, key: StreamKey): OverQuota | null {
    const accounts = this.#accountsOf(sender);
    const { account } = this.#accountOf(sender);
    const before = account.streams;
    const over = account.stream(key, this.#clock.monoMs());
    accounts.streams += account.streams - before;
    accounts.trim();
    return over;
  }

  /** Null for records that the gateway may store today, which count. */
  stored(sender: Sender, bytes: number): OverQuota | null {
    return this.#accountOf(sender).account.stored(bytes, this.#clock.monoMs());
  }

  /** Most separate ranges in a stream of the gateway. */
  rangesMax(gateway: string): number {
    return quotasOf(this.#options, gateway).quotas.rangesPerStream || Number.POSITIVE_INFINITY;
  }

  /** Counts rows that the ledger dropped; `gateway` is empty where nothing proves it. */
  dropped({ table, source, gateway, rows }: Dropped): void {
    const quota = table === 'conflict' ? 'conflicts' : 'dead-letters';
    this.exceeded({ source, gateway, isProven: gateway !== '' }, { quota }, 'dropped', rows);
  }

  /** Counts messages over a quota, and tells the gateway's first in a log line. */
  exceeded(sender: Sender, { quota }: { quota: QuotaReason }, outcome: OverQuotaOutcome, messages = 1): void {
    this.#count({ source: sender.source, quota, outcome }, messages);
    const { group } = quotasOf(this.#options, sender.gateway);
    const name = nameOf(sender);
    const nowMs = this.#clock.monoMs();
    const wallMs = this.#clock.wallMs();
    const known = this.#over.get(name);
    const isNew = known === undefined || nowMs - known.lastMs > OVER_MS;
    const outcomes = isNew ? { waits: 0, 'dead-letter': 0, dropped: 0 } : known.state.outcomes;
    outcomes[outcome] += messages;
    const firstWallMs = isNew ? wallMs : known.state.firstWallMs;
    this.#over.set(name, {
      state: { ...sender, group, quota, outcomes, firstWallMs, lastWallMs: wallMs },
      lastMs: nowMs,
    });
    if (isNew) this.#log.warn('quota.exceeded', { ...sender, group, quota, outcome });
    for (const oldest of this.#over.keys()) {
      if (this.#over.size <= OVER_MAX) break;
      this.#over.delete(oldest);
    }
  }

  /** The gateways that were over a quota in the last hour, those with most messages first. */
  over(limit: number): OverQuotaState[] {
    const sinceMs = this.#clock.monoMs() - OVER_MS;
    const recent = [...this.#over.values()].filter(({ lastMs }) => lastMs >= sinceMs);
    const count = ({ state }: Over): number => totalOf(state);
    return recent
      .sort((a, b) => count(b) - count(a))
      .slice(0, limit)
      .map(({ state }) => ({ ...state, outcomes: { ...state.outcomes } }));
  }

  /** Messages over a quota since the start. */
  counts(): readonly Count[] {
    return [...this.#counts.values()];
  }

  #count(counted: Omit<Count, 'count'>, messages: number): void {
    const { source, quota, outcome } = counted;
    const name = JSON.stringify([source, quota, outcome]);
    this.#counts.set(name, { ...counted, count: (this.#counts.get(name)?.count ?? 0) + messages });
  }

  #accountsOf({ isProven }: Sender): Accounts {
    return isProven ? this.#proven : this.#claimed;
  }

  #accountOf(sender: Sender): Kept {
    return this.#accountsOf(sender).of(sender, () => {
      const { group, quotas } = quotasOf(this.#options, sender.gateway);
      return { sender, group, account: new Account(quotas, this.#clock.monoMs()) };
    });
  }
}

/** All that was over, whatever became of it. */
export function totalOf({ outcomes }: Pick<OverQuotaState, 'outcomes'>): number {
  return outcomes.waits + outcomes['dead-letter'] + outcomes.dropped;
}

/** Accounts, those used last at the end. */
class Accounts {
  streams = 0;
  readonly #bounds: QuotaBounds;
  readonly #kept = new Map<string, Kept>();

  constructor(bounds: QuotaBounds) {
    this.#bounds = bounds;
  }

  of(sender: Sender, make: () => Kept): Kept {
    const name = nameOf(sender);
    const known = this.#kept.get(name);
    const kept = known ?? make();
    if (known !== undefined) this.#kept.delete(name);
    this.#kept.set(name, kept);
    if (known === undefined) this.trim();
    return kept;
  }

  trim(): void {
    for (const [name, { account }] of this.#kept) {
      const isWithin = this.#kept.size <= this.#bounds.accounts && this.streams <= this.#bounds.streams;
      if (isWithin || this.#kept.size === 1) break;
      this.#kept.delete(name);
      this.streams -= account.streams;
    }
  }
}

function nameOf({ source, gateway, isProven }: Sender): string {
  return `${source}/${gateway}/${isProven}`;
}
