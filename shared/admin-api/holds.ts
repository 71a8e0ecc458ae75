/** `/v1/holds` of an agent: the holds set by operators. */
export interface HoldList {
  kind: 'holds';
  holds: Array<{
    provider: string;
    reason: string;
    /** ISO 8601, by the gateway's clock at that time. */
    since: string;
    clock: 'synchronised' | 'unsynchronised';
    /** Null for a hold without an end: an operator must lift it. */
    leftMs: number | null;
    /** Whether the provider is configured and enabled. */
    isKnown: boolean;
  }>;
  /** False when the last change is not on disk: a restart would lose it. */
  kept: boolean;
}
