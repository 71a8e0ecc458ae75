/**
 * The unit on the wire: some records of one (gateway, epoch, stream), encoded once, the same bytes for every
 * provider. The format is written down in docs/reference/envelope.md. `codec.ts` turns this into bytes and
 * back.
 */
import type { Gap, StreamKey, TelemetryRecord } from '../record.ts';
import type { SendReason } from './send-reason.ts';

/**
 * Stream name of envelopes that carry no records: they prove that a provider works and that the gateway
 * lives.
 */
export const HEARTBEAT_STREAM = '_heartbeat';

/** How the gateway's monotonic time maps to wall time for these records (I7): wall = monoMs + offsetMs. */
export interface EnvelopeClock {
  bootId: string;
  offsetMs: number;
  /**
   * `synchronised`: NTP agreed when this was encoded. `unsynchronised`: whatever the machine's clock said.
   */
  quality: 'synchronised' | 'unsynchronised';
}

export interface Envelope extends StreamKey {
  clock: EnvelopeClock;
  /** `live`: sent as it arrived. `backlog`: waited out an outage. */
  lane: 'live' | 'backlog';
  /** Ascending by seq, no seq twice, none inside a gap. */
  records: TelemetryRecord[];
  /** Ranges given up on purpose, delivered like records. */
  gaps: Gap[];
  /**
   * Set when the epoch is over: its highest seq (0 when it held nothing). Lets the router close the epoch.
   */
  sealedAt: number | null;
}

/**
 * The properties repeated beside the bytes, so that cloud-side rules can route without decoding. Keys are
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
  /** Absent on the first try of an envelope that goes to one provider. */
  why?: SendReason;
}
