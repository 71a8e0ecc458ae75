/** `GET /v1/where?id=` of an agent: the fate of one record. */
import type { GapReason } from '../record.ts';

export interface WhereAnswer {
  kind: 'where';
  id: string;
  state: WhereState;
  /** Why it was given up; null when it was not. */
  reason: GapReason | null;
  /** When it was given up: not before, not after. ISO 8601, null when it was not. */
  gaveUp: TimeSpan | null;
  /** The providers that accepted it, in order. */
  accepted: Array<TimeSpan & { provider: string }>;
  /** How many different providers its stream asks for now; null for a stream that is not in the policy. */
  copies: number | null;
  /** ISO 8601: how far back the notes reach; null without any. */
  notesSince: string | null;
}

export type WhereState =
  /** In the buffer: not enough providers have accepted it. */
  | 'waiting'
  /** Accepted by as many providers as its stream asked for, and no longer in the buffer. */
  | 'delivered'
  /** The buffer gave it up by its written rule, and delivers a gap in its place (I3). */
  | 'given-up'
  /** The present epoch has not come so far. */
  | 'not-yet-given'
  /**
   * Not in the buffer, and not in the notes that are left: older than they are, or lost with a kill's last
   * minute, or never given.
   */
  | 'unknown';

/** Between these. `clock`: whether the gateway knew the wall time of it, also if only later (I7). */
export interface TimeSpan {
  from: string;
  to: string;
  clock: 'synchronised' | 'unsynchronised';
}
