/** Result of `headgate simulate`: the recorded past under one policy, compared with others. */
export interface SimulationReport {
  kind: 'simulation';
  gateway: string;
  /** ISO 8601: the first and the last time replayed. */
  from: string;
  to: string;
  /** Time in that span in which the agent ran, in milliseconds. */
  replayedMs: number;
  policies: PolicyReplay[];
  /** Caveats about the figures. */
  notes: string[];
}

export interface PolicyReplay {
  /** `recorded`, or the file of the policy. */
  policy: string;
  streams: StreamReplay[];
  providers: ProviderReplay[];
  /** Metered by the price sheets, without fixed fees. */
  usd: number;
  /** Switches away from a provider, over all streams. */
  switches: number;
  /**
   * Time in which at least one stream had no eligible provider (`nowhereMs`), and time with at most one
   * (`atRiskMs`).
   */
  nowhereMs: number;
  atRiskMs: number;
}

export interface StreamReplay {
  stream: string;
  /**
   * By provider: share of the time in which the stream's envelopes went there. Several providers at once for
   * a stream with copies.
   */
  shares: Record<string, number>;
  /** Incoming records, and the most records waiting at one time. */
  records: number;
  mostWaiting: number;
  /** Time without an eligible provider, and time with only one. */
  nowhereMs: number;
  onlyOneMs: number;
  /** Switches away from a provider, by reason; and the number of switches that the gateway made. */
  switches: Record<string, number>;
  recordedSwitches: number;
}

export interface ProviderReplay {
  provider: string;
  /** Units as the provider meters them, including probes. */
  units: number;
  usd: number;
  /** Cost of tries that may be billed too. */
  possibleUsd: number;
  /** Time on hold because of the quota or the budget. */
  heldMs: number;
}
