/** `GET /v1/where?id=` of an agent: the fate of one record. */
import type { GapReason } from '../record.ts';

export interface WhereAnswer {
  kind: 'where';
  id: string;
  state: WhereState;
  /** Why the record was given up; null otherwise. */
  reason: GapReason | null;
  /** When the record was given up, ISO 8601; null otherwise. */
  gaveUp: TimeSpan | null;
  /** The providers that accepted the record, in order. */
  accepted: Array<TimeSpan & { provider: string }>;
  /** The number of providers that its stream asks for now; null for a stream outside the policy. */
  copies: number | null;
  /** ISO 8601: the start of the notes; null without notes. */
  notesSince: string | null;
}

export type WhereState =
  /** In the buffer: too few providers have accepted it. */
  | 'waiting'
  /** Accepted by as many providers as its stream asked for, and freed from the buffer. */
  | 'delivered'
  /** Given up by the buffer's written rule; a gap is delivered in its place (I3). */
  | 'given-up'
  /** The present epoch has not reached this seq. */
  | 'not-yet-given'
  /**
   * Neither in the buffer nor in the remaining notes: older than the notes, lost with the last minute before
   * a kill, or never assigned.
   */
  | 'unknown';

/** A time between `from` and `to`. `clock`: whether the gateway knew the wall time, at once or later (I7). */
export interface TimeSpan {
  from: string;
  to: string;
  clock: 'synchronised' | 'unsynchronised';
}
