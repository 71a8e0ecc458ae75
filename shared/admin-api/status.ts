/** The answers of the admin servers, which the command line reads. */
import type { Gap, GapReason, SeqRange, StreamKey } from '../record.ts';
import type { ScoreParts } from '../scoring/inputs.ts';

/** A provider's health in the routing core. */
export type ProviderHealth = 'healthy' | 'degraded' | 'open' | 'probing';

export interface AgentStreamStatus {
  name: string;
  /** The stream's current providers, in order; empty when none is eligible. */
  chosen: string[];
  /** Why its records can never leave with this configuration; null where they can, absent before 0.2.0. */
  stranded?: string | null;
  /** Records waiting to be sent. */
  pending: number;
  /** Records sent and not yet acknowledged. */
  inFlight: number;
  /** Records with all copies that wait for the router's receipt. */
  awaitingReceipt: number;
  /** Records accepted since start. */
  accepted: number;
  /** Records left with fewer copies than asked for, because the other providers refuse them; since start. */
  fewerCopies: number;
  /** Publishes that the buffer did not take, since start; the device sends them again. */
  intakeFailed: number;
  ratePerSecond: number;
  /** Pending records that waited through an outage or a restart. */
  backlog: number;
  /** At the rate of the last seconds; null without a backlog, or while none of it is sent. */
  timeToDrainSeconds: number | null;
  /** Age of the oldest record that still needs a provider, also one under way; null when none does. */
  oldestAgeMs: number | null;
}

export interface ProviderStatus {
  name: string;
  type: string;
  region: string;
  health: ProviderHealth;
  /** Time in the present health. */
  sinceMs: number;
  score: number;
  parts: ScoreParts;
  /** The holds on the provider; empty without one. */
  holds: string[];
  /** Measured acknowledgement latency; null before the first sample. */
  p50Ms: number | null;
  p95Ms: number | null;
  /** In [0, 1]; null before the first sample. */
  successRate: number | null;
  /** Accepted and failed envelopes. */
  accepted: number;
  failed: number;
  /** Units as the provider bills them. */
  units: number;
  /** Why the last try failed, and for how long tries have failed; null after an accepted publish. */
  fault: { cause: string; detail: string; forMs: number } | null;
  /**
   * The option with the credentials in use, and the provider's last answer to them: `refused` when it refused
   * all credentials (I9). `expiresAt`: ISO 8601, null when unknown.
   */
  credentials: {
    slot: 'credentials' | 'next_credentials';
    standing: 'untried' | 'accepted' | 'refused';
    expiresAt: string | null;
  };
}

export interface RoutingSwitch {
  /** ISO 8601. */
  at: string;
  stream: string;
  from: string | null;
  to: string | null;
  reason: string;
}

/** Records that the buffer gave up: each is in a gap that is delivered in its place (I3). */
export interface GivenUpStatus {
  /** Since this agent started, `sinceMs` ago. */
  records: number;
  sinceMs: number;
  /** Before it started, and not delivered as a gap then: earlier ones are in the router's ledger. */
  before: number;
  streams: Array<{
    stream: string;
    reason: GapReason;
    records: number;
    before: number;
    /** How long ago the last was given up; null when none was since the start. */
    lastMs: number | null;
  }>;
}

/** `GET /v1/status` of an agent. */
export interface AgentStatus {
  kind: 'agent';
  gateway: string;
  version: string;
  epoch: string;
  uptimeSeconds: number;
  clock: { quality: 'synchronised' | 'unsynchronised'; offsetMs: number };
  /** The gateway's key, and whether it signs envelopes; absent before 0.2.0. */
  signing?: { keyId: string; envelopes: boolean };
  /** Whose receipts count, the ids of the routers' keys, and receipts by result; absent before 0.2.0. */
  receipts?: {
    accept: 'signed' | 'any';
    routerKeys: string[];
    counts: Readonly<Record<string, number>>;
    downlinks: number;
  };
  /**
   * The policy in force: its author's version, when it took effect, streams that left it and still have
   * records in the buffer, and the last one that did not take effect since; absent before 0.2.0.
   */
  policy?: {
    version: number;
    since: string;
    draining: string[];
    refused: { at: string; problem: string } | null;
  };
  /** Streams whose envelopes are sealed, and the routers' keys to which; absent before 0.2.0. */
  sealing?: { streams: string[]; keyIds: string[] };
  /** `deviceFile` is the state of the device file: `ok`, `missing`, `unreadable` or `corrupt` (I9). */
  broker: {
    connections: number;
    published: number;
    refused: number;
    /** `refused` by reason. */
    refusals: Readonly<Record<string, number>>;
    /** Connections that another one with the same client id ended. */
    takenOver: number;
    deviceFile: string;
  };
  /**
   * `state` is the state of the store: `ok`, or why it is degraded (I9). `usedBytes` count towards
   * `limitBytes`: the pages in use, and the reserve for the WAL.
   */
  buffer: {
    rows: number;
    bytes: number;
    fileBytes: number;
    walBytes: number;
    usedBytes: number;
    limitBytes: number;
    state: string;
  };
  givenUp: GivenUpStatus;
  streams: AgentStreamStatus[];
  providers: ProviderStatus[];
  /** The latest switches, newest last. */
  switches: RoutingSwitch[];
}

interface SourceStatus {
  name: string;
  type: string;
  connected: boolean;
  received: number;
  settled: number;
  /** The error of an ongoing failure. */
  lastError: string | null;
  /** Connections that the router ended because no answer came. */
  cuts: number;
  /** Answers by which the provider asked to slow down. */
  throttled: number;
  /** Messages that the provider dropped by age before they were read, where the provider shows it. */
  expired: number;
  /** Wall-clock milliseconds. */
  lastReceivedMs: number | null;
  /**
   * From the capture of the newest record of the last envelope to its commit; null without a synchronised
   * clock.
   */
  recordAgeMs: number | null;
  /**
   * From the provider's intake of the last envelope to its commit; null where the provider does not report
   * it.
   */
  queueAgeMs: number | null;
  /** Messages waiting at the provider; null where the provider does not report them, or not now. */
  backlog: number | null;
  /** Repeated records of this source by cause, since this router's start. */
  duplicates: Readonly<Record<string, number>>;
}

/** The completeness of one (gateway, epoch, stream) (I6): the ledger's answer with bounded ranges. */
export interface StreamCompletenessStatus extends StreamKey {
  completeTo: number;
  highest: number;
  missing: SeqRange[];
  missingCount: number;
  /** Given-up ranges (at most the first 100). */
  gaps: Gap[];
  /** The number of given-up ids, over all ranges. */
  givenUpCount: number;
  sealedAt: number | null;
  records: number;
  /** Ids whose records have left the ledger, by reason. */
  withdrawn: { retention: number; erasure: number; quarantine: number };
  duplicates: number;
  conflicts: number;
}

/** Totals over all streams, the same on every page. */
export interface FleetSummary {
  streams: number;
  /** Streams with missing records. */
  incomplete: number;
  /** Missing and given-up records. */
  missing: number;
  givenUp: number;
}

export interface GatewayStatus {
  gateway: string;
  /** Wall-clock milliseconds. */
  lastContactMs: number | null;
  streams: StreamCompletenessStatus[];
}

/** `GET /v1/completeness` of a router: a page of streams. */
export interface CompletenessAnswer {
  /** Null except on the first page. */
  summary: FleetSummary | null;
  streams: StreamCompletenessStatus[];
  /** `after` of the next page; null at the end. */
  next: string | null;
}

/** A gateway that was over a quota within the last hour, at one source. */
interface OverQuotaStatus {
  source: string;
  /** Empty: all messages of the source whose gateway nothing proves. */
  gateway: string;
  /** False for a name that neither a login nor a signature proves. */
  isProven: boolean;
  /** The group of `quotas` in router.yaml. */
  group: string;
  /**
   * `envelopes`, `bytes`, `streams`, `stored`, `ranges`, `dead-letters` or `conflicts`: the one that it was
   * over last.
   */
  quota: string;
  /** Messages that were left for later, and that became dead letters. */
  waited: number;
  deadLetters: number;
  /** Of its dead letters and versions in conflict, those that left for newer ones. Absent before 0.2.0. */
  dropped?: number;
  firstWallMs: number;
  lastWallMs: number;
}

/** The bytes of the records in the ledger, by `storedBytes` of router/ledger/rules/retention.ts. */
interface StoredStatus {
  total: number;
  /** At most 20, the largest first; without records from before bytes were counted by gateway. */
  gateways: { gateway: string; bytes: number }[];
}

/** `GET /v1/status` of a router: the state of its parts, and a page of its gateways. */
export interface RouterStatus {
  kind: 'router';
  version: string;
  /** The key that signs receipts; absent before 0.2.0. */
  signing?: { keyId: string };
  uptimeSeconds: number;
  sources: SourceStatus[];
  /** At most 20, those with most messages first; absent before 0.2.0. */
  overQuota?: OverQuotaStatus[];
  /**
   * Null while the ledger does not answer; `ledgerError` then has the reason, and the ledger's other fields
   * are empty.
   */
  ledger: { records: number; duplicates: number; conflicts: number; deadLetters: number } | null;
  ledgerError: string | null;
  /** As of the last minute; null where the ledger does not count bytes. Absent before 0.2.0. */
  stored?: StoredStatus | null;
  feeds: FeedStatus[];
  /** Null except on the first page. */
  summary: FleetSummary | null;
  /** The last gateway continues on the next page when it has more streams. */
  gateways: GatewayStatus[];
  /** `after` of the next page; null at the end. */
  next: string | null;
}

interface FeedStatus {
  name: string;
  /**
   * `following`, `retrying`, `standby` (another router runs it), `gone` (the destination asked for no more).
   */
  phase: string;
  /** Null, like the lag, while the ledger does not answer. */
  offset: number | null;
  /** Records of the ledger that the feed has not delivered. */
  lag: number | null;
  /** How long ago the ledger took the first undelivered record. */
  lagSeconds: number | null;
  /** Failures of this router since its start. */
  failures: number;
  lastError: string | null;
  /** The one record that the destination refuses, and that holds the feed up; null without one. */
  refused: { id: string; offset: number; error: string } | null;
  /** Records that it refused again and again, and that the feed passed over; absent before 0.2.0. */
  quarantined?: number;
}

/** Records sent to a provider. A record with two copies counts at each provider. */
interface CostAmount {
  /** Units as the provider meters them. */
  units: number;
  records: number;
  usd: number;
  /** Units and cost of tries that may be billed too; not included in the other figures. */
  possibleUnits: number;
  possibleUsd: number;
}

export interface ProviderCost {
  name: string;
  type: string;
  /** Definition of a unit, for example `5 KB message`. */
  unit: string;
  /** Date of the price sheet. */
  pricesDated: string;
  today: CostAmount;
  month: CostAmount;
  /** Fixed fee of the month, independent of traffic. */
  fixedUsd: number;
  /** Metered and fixed cost at the end of the month; null before a full day was counted. */
  forecastUsd: number | null;
  /** Metered cost without the fixed fee; null before the first record of the month. */
  usdPerMillionRecords: number | null;
  /** Units that the provider accepts in a UTC day; null without a daily quota. */
  unitsPerDay: number | null;
  /** `quota` or `budget`, when that holds the provider. */
  holds: string[];
}

export interface StreamCost {
  name: string;
  today: Omit<CostAmount, 'units' | 'possibleUnits'>;
  month: Omit<CostAmount, 'units' | 'possibleUnits'>;
  /** Metered cost only: fixed fees belong to no stream. */
  forecastUsd: number | null;
  usdPerMillionRecords: number | null;
}

/**
 * `GET /v1/costs`: metered units of today and this month, by UTC days, and their cost by the price sheets.
 */
export interface CostReport {
  kind: 'costs';
  currency: 'USD';
  /** The UTC day of `today`; null until the clock is synchronised. */
  day: string | null;
  /** `unsynchronised`: the units count for the last known day. */
  clock: 'synchronised' | 'unsynchronised';
  /** ISO 8601: when this month's count began; null while the day is unknown. */
  since: string | null;
  providers: ProviderCost[];
  streams: StreamCost[];
  total: {
    todayUsd: number;
    /** Metered cost. */
    monthUsd: number;
    fixedUsd: number;
    forecastUsd: number | null;
    usdPerMillionRecords: number | null;
  };
  /** Null for a policy without a budget. `state`: `within`, `alert` (past the threshold) or `spent`. */
  budget: { usd: number; spentUsd: number; state: string; onBudget: 'hold' | 'alert' } | null;
}
