/**
 * Entries as routers commit them: envelopes of readings from a fleet's gateways, some of them redelivered.
 */

import type { LedgerEntry } from '../../router/ledger/types.ts';
import type { TelemetryRecord } from '../../shared/record.ts';

export const GATEWAYS = 50;

export interface Shape {
  envelopes: number;
  /** Records in each envelope. */
  records: number;
  /** Share of envelopes that repeat earlier ones: 0 to 1. */
  duplicates: number;
}

/** Groups of `groupEnvelopes` entries for one ledger; each `round` has its own ids. */
export function groupsOf(shape: Shape, groupEnvelopes: number, round: number): LedgerEntry[][] {
  const first = Math.round(shape.envelopes * (1 - shape.duplicates));
  const entries = Array.from({ length: first }, (_, i) => entryOf(i, shape.records, round));
  for (let i = 0; entries.length < shape.envelopes; i += 1) {
    const again = entries[i % Math.max(1, first)];
    if (again) entries.push(again);
  }
  return Array.from({ length: Math.ceil(entries.length / groupEnvelopes) }, (_, i) =>
    entries.slice(i * groupEnvelopes, (i + 1) * groupEnvelopes),
  );
}

export function entryOf(number: number, records: number, round: number): LedgerEntry {
  const gateway = number % GATEWAYS;
  const first = Math.floor(number / GATEWAYS) * records + 1;
  return {
    envelope: {
      gateway: `gw-${gateway}`,
      epoch: `${round}-aa`,
      stream: 'telemetry',
      clock: { bootId: 'boot-1', offsetMs: 1_700_000_000_000, quality: 'synchronised' },
      lane: 'live',
      records: Array.from({ length: records }, (_, i) => reading(first + i)),
      gaps: [],
      sealedAt: null,
    },
    source: 'aws',
    receivedWallMs: 1000,
    verified: true,
  };
}

/** 100 bytes of JSON from one of 20 pumps. */
function reading(seq: number): TelemetryRecord {
  const device = `pump-${seq % 20}`;
  const noise = (factor: number): string => (((seq * factor) % 99_991) / 1000).toFixed(3);
  const text = `{"id":"${device}","t":${1_700_000_000_000 + seq},"bar":${noise(7919)},"rpm":${noise(104_729)},"c":${noise(31)}}`;
  return {
    seq,
    monoMs: seq * 5,
    device,
    topic: `plant/${device}/state`,
    payload: Buffer.from(text.padEnd(100)),
  };
}
