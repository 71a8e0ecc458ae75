/** Result of `headgate simulate`: the recorded past under one policy, compared with others. */
export interface SimulationReport {
  kind: 'simulation';
  gateway: string;
  /** ISO 8601: the first and the last moment that was replayed. */
  from: string;
  to: string;
  /** Of it, the time in which the agent ran, in milliseconds. */
  replayedMs: number;
  policies: PolicyReplay[];
  /** Caveats of the figures. */
  notes: string[];
}

export interface PolicyReplay {
  /** `recorded`, or the policy's file. */
  policy: string;
  streams: StreamReplay[];
  providers: ProviderReplay[];
  /** Metered by the price sheets, without fixed fees. */
  usd: number;
  /** Switches away from a provider, of all streams. */
  switches: number;
  /** Time in which at least one stream had no eligible provider, or at most one. */
  nowhereMs: number;
  atRiskMs: number;
}

export interface StreamReplay {
  stream: string;
  /**
   * By provider, share of the time in which the stream's envelopes went there: several at once when it asks
   * for copies.
   */
  shares: Record<string, number>;
  /** Records that came in, and the most that waited at one time. */
  records: number;
  mostWaiting: number;
  /** Time without an eligible provider, and with one alone. */
  nowhereMs: number;
  onlyOneMs: number;
  /** Switches away from a provider, by reason, and how many the gateway made. */
  switches: Record<string, number>;
  recordedSwitches: number;
}

export interface ProviderReplay {
  provider: string;
  /** As it meters; probes are in it. */
  units: number;
  usd: number;
  /** Of tries that may be on the bill too. */
  possibleUsd: number;
  /** Time on hold for its quota or the budget. */
  heldMs: number;
}
