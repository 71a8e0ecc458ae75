/**
 * The unit on the wire: records of one (gateway, epoch, stream), encoded once, the same bytes for every
 * provider. docs/reference/envelope.md specifies the format; `codec.ts` converts it to bytes and back.
 */
import type { Gap, StreamKey, TelemetryRecord } from '../record.ts';
import type { SendReason } from './send-reason.ts';

/**
 * Stream name of envelopes without records: they prove that a provider works and that the gateway is alive.
 */
export const HEARTBEAT_STREAM = '_heartbeat';

/** How the gateway's monotonic time maps to wall time for these records (I7): wall = monoMs + offsetMs. */
export interface EnvelopeClock {
  bootId: string;
  offsetMs: number;
  /** `synchronised`: NTP was in sync at the encoding. `unsynchronised`: the machine's clock, unconfirmed. */
  quality: 'synchronised' | 'unsynchronised';
}

export interface Envelope extends StreamKey {
  clock: EnvelopeClock;
  /** `live`: sent on arrival. `backlog`: waited through an outage. */
  lane: 'live' | 'backlog';
  /** Ascending by seq, no seq twice, none inside a gap. */
  records: TelemetryRecord[];
  /** Ranges given up on purpose, delivered like records. */
  gaps: Gap[];
  /**
   * The highest seq of an epoch that has ended (0 for an empty one), so that the router can close the epoch;
   * null otherwise.
   */
  sealedAt: number | null;
}

/**
 * The ids as properties beside the bytes, so that cloud-side rules can route without decoding. The keys are
 * part of the format.
 */
export interface EnvelopeProperties {
  /** Format version. */
  hg: string;
  gw: string;
  ep: string;
  st: string;
  /** Lowest and highest seq (records and gaps) and the number of records; absent on a heartbeat. */
  first?: string;
  last?: string;
  n?: string;
  /** Absent on the first try of an envelope for one provider. */
  why?: SendReason;
}
