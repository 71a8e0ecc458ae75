/** The answers of the admin servers, which the command line reads. */
import type { Gap, GapReason, SeqRange, StreamKey } from '../record.ts';
import type { ScoreParts } from '../scoring/inputs.ts';

/** A provider's health as the routing core keeps it. */
export type ProviderHealth = 'healthy' | 'degraded' | 'open' | 'probing';

export interface AgentStreamStatus {
  name: string;
  /** Providers that get its envelopes now, the first first; empty when none is eligible. */
  chosen: string[];
  /** Why its records can never leave as the agent is configured; null where they can, absent before 0.2.0. */
  stranded?: string | null;
  /** Records that wait. */
  pending: number;
  /** Records sent and not yet answered. */
  inFlight: number;
  /** Records with their copies that wait for the router's receipt. */
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
  /** At the pace of the last seconds; null without a backlog, or when none of it leaves. */
  timeToDrainSeconds: number | null;
  /** Age of the oldest record that still needs a provider, also one under way; null when none does. */
  oldestAgeMs: number | null;
}

export interface ProviderStatus {
  name: string;
  type: string;
  region: string;
  health: ProviderHealth;
  /** How long it has been in this health. */
  sinceMs: number;
  score: number;
  parts: ScoreParts;
  /** Reasons not to use it; empty without one. */
  holds: string[];
  /** Measured acknowledgement latency; null before the first sample. */
  p50Ms: number | null;
  p95Ms: number | null;
  /** In [0, 1]; null before the first sample. */
  successRate: number | null;
  /** Envelopes. */
  accepted: number;
  failed: number;
  /** Metered as the provider bills. */
  units: number;
  /** Why the last try failed, and since when that is so; null once a publish is accepted. */
  fault: { cause: string; detail: string; forMs: number } | null;
  /**
   * The option that holds the credentials in use, and what the provider last said of them: `refused` when it
   * refused all there are (I9). `expiresAt`: ISO 8601, null where not known.
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
  /** `deviceFile` is the named state of the device file: `ok`, `missing`, `unreadable` or `corrupt` (I9). */
  broker: {
    connections: number;
    published: number;
    refused: number;
    /** Of these, by reason. */
    refusals: Readonly<Record<string, number>>;
    deviceFile: string;
  };
  /**
   * `state` is the named state of the store: `ok`, or why it is degraded (I9). Of `limitBytes`, `usedBytes`
   * are taken: the pages in use, and the share that is set aside for the WAL.
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
  /** Of a failure that is not over yet. */
  lastError: string | null;
  /** Connections that the router ended because nothing was answered on them. */
  cuts: number;
  /** Messages that the provider dropped by age before they were read, where it can be told. */
  expired: number;
  /** Wall-clock milliseconds. */
  lastReceivedMs: number | null;
  /**
   * From when the newest record of the last envelope was taken to its commit; null where no synchronised
   * clock told.
   */
  recordAgeMs: number | null;
  /** From when the provider took the last envelope in to its commit; null where it does not tell. */
  queueAgeMs: number | null;
  /** Messages that wait at the provider; null where it does not tell, or not now. */
  backlog: number | null;
  /** Records that came again through it, by cause, since this router's start. */
  duplicates: Readonly<Record<string, number>>;
}

/**
 * What the router can state of one (gateway, epoch, stream) (I6): the ledger's answer, its ranges bounded.
 */
export interface StreamCompletenessStatus extends StreamKey {
  completeTo: number;
  highest: number;
  missing: SeqRange[];
  missingCount: number;
  /** Given up (at most the first 100 ranges). */
  gaps: Gap[];
  /** How many ids are given up, all ranges counted. */
  givenUpCount: number;
  sealedAt: number | null;
  records: number;
  /** Ids that came and whose records have left the ledger since, by why. */
  withdrawn: { retention: number; erasure: number; quarantine: number };
  duplicates: number;
  conflicts: number;
}

/** Over all streams, on every page the same. */
export interface FleetSummary {
  streams: number;
  /** Those with records missing. */
  incomplete: number;
  /** Records. */
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
  /** Null but on the first page. */
  summary: FleetSummary | null;
  streams: StreamCompletenessStatus[];
  /** `after` of the next page; null at the end. */
  next: string | null;
}

/** `GET /v1/status` of a router: the state of its parts, and a page of its gateways. */
export interface RouterStatus {
  kind: 'router';
  version: string;
  uptimeSeconds: number;
  sources: SourceStatus[];
  /** Null while the ledger does not answer; then `ledgerError` says why, and the rest of it is left out. */
  ledger: { records: number; duplicates: number; conflicts: number; deadLetters: number } | null;
  ledgerError: string | null;
  feeds: FeedStatus[];
  /** Null but on the first page. */
  summary: FleetSummary | null;
  /** The last one goes on in the next page where it has more streams. */
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
  /** How long ago the ledger took the first of them. */
  lagSeconds: number | null;
  /** Of this router, since its start. */
  failures: number;
  lastError: string | null;
  /** The one record that the destination refuses, and that holds the feed up; null without one. */
  refused: { id: string; offset: number; error: string } | null;
}

/** Records sent to a provider. A record with two copies counts at each provider. */
interface CostAmount {
  /** As the provider meters. */
  units: number;
  records: number;
  usd: number;
  /** Of tries that may be on the bill too: beside the others, not in them. */
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
  /** Metered and fixed, at the end of the month; null while less than a day was counted. */
  forecastUsd: number | null;
  /** Metered, without the fixed fee; null before the first record of the month. */
  usdPerMillionRecords: number | null;
  /** Units that the provider accepts in a UTC day; null without a daily quota. */
  unitsPerDay: number | null;
  /** `quota` or `budget`, when that keeps it from being used. */
  holds: string[];
}

export interface StreamCost {
  name: string;
  today: Omit<CostAmount, 'units' | 'possibleUnits'>;
  month: Omit<CostAmount, 'units' | 'possibleUnits'>;
  /** Metered only: fixed fees are no stream's. */
  forecastUsd: number | null;
  usdPerMillionRecords: number | null;
}

/**
 * `GET /v1/costs`: metered units today and this month, by UTC days, and their cost by the price sheets.
 */
export interface CostReport {
  kind: 'costs';
  currency: 'USD';
  /** The UTC day of `today`; null until the clock is synchronised. */
  day: string | null;
  /** `unsynchronised`: counts go to the last known day. */
  clock: 'synchronised' | 'unsynchronised';
  /** ISO 8601: when the counting of this month began; null while the day is not known. */
  since: string | null;
  providers: ProviderCost[];
  streams: StreamCost[];
  total: {
    todayUsd: number;
    /** Metered. */
    monthUsd: number;
    fixedUsd: number;
    forecastUsd: number | null;
    usdPerMillionRecords: number | null;
  };
  /** Null when the policy names none. `state`: `within`, `alert` (past the threshold) or `spent`. */
  budget: { usd: number; spentUsd: number; state: string; onBudget: 'hold' | 'alert' } | null;
}
