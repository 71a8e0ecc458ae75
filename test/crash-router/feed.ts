/**
 * The generator: records whose content follows from their id, so that whoever has the numbers of a run has
 * its log. Each record is fed twice, in envelopes cut differently, through a source drawn for each envelope,
 * in a shuffled order.
 */

import { seededEntropy } from '../../shared/entropy.ts';
import { encodeEnvelope } from '../../shared/envelope/codec.ts';
import type { TelemetryRecord } from '../../shared/record.ts';

export const SOURCES = ['aws', 'azure', 'gcp'] as const;
export const EPOCH = '1-feed';
export const STREAM = 'telemetry';

/** Records of one envelope, as an agent sends after an outage or under load. */
const ENVELOPE_RECORDS_MIN = 50;
const ENVELOPE_RECORDS_MAX = 350;
const CUTS = 2;

export interface FedEnvelope {
  gateway: number;
  first: number;
  last: number;
  source: number;
}

export function gatewayName(gateway: number): string {
  return `gw-${gateway}`;
}

/** Every envelope of a run, in the order it is fed. */
export function envelopesOf(gateways: number, perGateway: number, seed: number): FedEnvelope[] {
  const entropy = seededEntropy(seed);
  const upTo = (max: number): number => Math.floor(entropy.float() * max);
  const all: FedEnvelope[] = [];
  for (let gateway = 0; gateway < gateways; gateway += 1) {
    for (let cut = 0; cut < CUTS; cut += 1) {
      for (let first = 1; first <= perGateway; ) {
        const count = ENVELOPE_RECORDS_MIN + upTo(ENVELOPE_RECORDS_MAX - ENVELOPE_RECORDS_MIN);
        const last = Math.min(perGateway, first + count - 1);
        all.push({ gateway, first, last, source: upTo(SOURCES.length) });
        first = last + 1;
      }
    }
  }
  for (let i = all.length - 1; i > 0; i -= 1) {
    const j = upTo(i + 1);
    const [a, b] = [all[i], all[j]];
    if (a && b) [all[i], all[j]] = [b, a];
  }
  return all;
}

/** The record that the generator's log has under this id. */
export function recordOf(gateway: number, seq: number): TelemetryRecord {
  const device = `pump-${seq % 20}`;
  const value = ((seq * 7919 + gateway * 104_729) % 100_000) / 1000;
  return {
    seq,
    monoMs: seq * 5,
    device,
    topic: `plant/${device}/pressure`,
    payload: Buffer.from(`{"gateway":${gateway},"n":${seq},"bar":${value}}`),
  };
}

export function envelopeBytes({ gateway, first, last }: FedEnvelope): Uint8Array {
  return encodeEnvelope({
    gateway: gatewayName(gateway),
    epoch: EPOCH,
    stream: STREAM,
    clock: { bootId: 'boot-1', offsetMs: 1_700_000_000_000, quality: 'synchronised' },
    lane: 'backlog',
    records: Array.from({ length: last - first + 1 }, (_, i) => recordOf(gateway, first + i)),
    gaps: [],
    sealedAt: null,
  });
}
