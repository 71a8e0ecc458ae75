/** Short ways to say an envelope in a test. */

import type { LedgerEntry } from '../../../router/ledger/types.ts';
import type { Envelope } from '../../../shared/envelope/envelope.ts';
import type { Gap, GapReason, TelemetryRecord } from '../../../shared/record.ts';

export interface EnvelopeSketch {
  gateway?: string;
  epoch?: string;
  stream?: string;
  seqs?: number[];
  /** Payload text of each record; the same text under the same seq is the same record. Default: the seq. */
  text?: string;
  /** Of all records. */
  topic?: string;
  gaps?: Gap[];
  sealedAt?: number | null;
  offsetMs?: number;
  bootId?: string;
  quality?: 'synchronised' | 'unsynchronised';
  /** Default: true. */
  verified?: boolean;
}

export function record(seq: number, text = String(seq)): TelemetryRecord {
  const device = `device-${seq % 3}`;
  return { seq, monoMs: seq * 10, device, topic: `plant/${device}/temp`, payload: Buffer.from(text) };
}

export function gap(first: number, last: number, reason: GapReason = 'quota'): Gap {
  return { first, last, reason };
}

/** `first..last` as a list. */
export function seqs(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}

export function envelope(sketch: EnvelopeSketch): Envelope {
  return {
    gateway: sketch.gateway ?? 'gw-1',
    epoch: sketch.epoch ?? '1-aa',
    stream: sketch.stream ?? 'telemetry',
    clock: {
      bootId: sketch.bootId ?? 'boot-1',
      offsetMs: sketch.offsetMs ?? 1_700_000_000_000,
      quality: sketch.quality ?? 'synchronised',
    },
    lane: 'live',
    records: (sketch.seqs ?? []).map((seq) => ({
      ...record(seq, sketch.text),
      ...(sketch.topic === undefined ? {} : { topic: sketch.topic }),
    })),
    gaps: sketch.gaps ?? [],
    sealedAt: sketch.sealedAt ?? null,
  };
}

/** An entry from `aws`, received at wall time 1000, unless told otherwise. */
export function entry(sketch: EnvelopeSketch, source = 'aws', receivedWallMs = 1000): LedgerEntry {
  return { envelope: envelope(sketch), source, receivedWallMs, verified: sketch.verified ?? true };
}
