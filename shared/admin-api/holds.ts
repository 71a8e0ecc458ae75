/** `/v1/holds` of an agent: the holds that an operator set. */
export interface HoldList {
  kind: 'holds';
  holds: Array<{
    provider: string;
    reason: string;
    /** ISO 8601, by the clock of that moment. */
    since: string;
    clock: 'synchronised' | 'unsynchronised';
    /** Null for a hold without an end: an operator lifts it. */
    leftMs: number | null;
    /** Whether the provider is configured and enabled. */
    isKnown: boolean;
  }>;
  /** False when the last change is not on the disk: it will not survive a restart. */
  kept: boolean;
}
