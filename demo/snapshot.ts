/** A moment of the demo: what its view shows. */

export interface ProviderRow {
  name: string;
  fault: string | null;
  state: string;
  score: number | null;
  /** Share of the envelopes accepted in the last second, 0–1. */
  share: number;
  accepted: number;
  p50Ms: number | null;
  predictedUnits: number;
  meteredUnits: number;
}

export interface StreamRow {
  name: string;
  chosen: string | null;
  pending: number;
  ratePerSecond: number;
}

export interface Snapshot {
  seconds: number;
  durationSeconds: number;
  phase: string;
  acked: number;
  ackedPerSecond: number;
  inLedger: number;
  backlog: number;
  /** Records accepted by a cloud and kept until the router's receipt. */
  unconfirmed: number;
  /** Agent and router both answered: neither is restarting. */
  answered: boolean;
  /** Messages that the clouds hold for the router. */
  unsettled: number;
  duplicatesReconciled: number;
  missing: number;
  providers: ProviderRow[];
  streams: StreamRow[];
  notes: string[];
}
