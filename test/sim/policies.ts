/**
 * The policies of a world, and what it knows of each without asking the code that reads them: where a
 * stream's records may go (I4), how many copies it asks for (I3), and whether the document is sound at all
 * (I8).
 */

import type { Entropy } from '../../shared/entropy.ts';
import { type Policy, type ProviderFacts, policySchema } from '../../shared/policy/policy.ts';
import { policyIssues } from '../../shared/policy/policy-check.ts';
import { CLOUDS, type CloudName, pick } from './plan.ts';

export const STREAMS = ['alarm', 'eu', 'telemetry'] as const;
type StreamName = (typeof STREAMS)[number];
type Zone = 'eu' | 'us';

/** In the EU, in the US. */
const REGIONS: Readonly<Record<CloudName, readonly [string, string]>> = {
  aws: ['eu-west-1', 'us-east-1'],
  azure: ['westeurope', 'eastus'],
  gcp: ['europe-west1', 'us-central1'],
};
/** The zones as this world knows them, whatever the policy's code makes of them (I4). */
const ZONES: Readonly<Record<Zone, ReadonlySet<string>>> = {
  eu: new Set(CLOUDS.map((cloud) => REGIONS[cloud][0])),
  us: new Set(CLOUDS.map((cloud) => REGIONS[cloud][1])),
};

export type Facts = ProviderFacts & { name: CloudName };
type Options = Record<string, unknown>;

interface Document extends Options {
  streams: Record<StreamName, Options>;
  failover: Options;
}

/** A proposed policy document. */
export interface Proposal {
  document: Document;
  zones: Readonly<Record<StreamName, Zone | null>>;
  isSound: boolean;
}

/** A policy in force. */
export interface InForce extends Proposal {
  policy: Policy;
}

/** At least one of them in the EU, so that every stream has somewhere to go. */
export function providers(entropy: Entropy): Facts[] {
  const euAt = Math.floor(entropy.float() * CLOUDS.length);
  return CLOUDS.map((name, i) => ({
    name,
    type: name,
    region: REGIONS[name][i === euAt || entropy.float() < 0.5 ? 0 : 1],
    enabled: true,
    priority: i + 1,
    slaPercent: 99.9,
    certifications: [],
  }));
}

/** The policies of a world's beginning. In some no stream waits for receipts. */
export function firstProposal(entropy: Entropy, facts: readonly Facts[]): Proposal {
  const likely = entropy.float() < 0.2 ? 0 : 0.6;
  const freed = () => (entropy.float() < likely ? 'receipt' : 'cloud');
  const document = {
    failover: {
      standby_probe: pick(['10m', '30m', '1h'], entropy),
      receipt_lag: pick(['10s', '30s', '90s'], entropy),
    },
    streams: {
      alarm: {
        topics: ['plant/alarm'],
        redundancy: 1 + Math.floor(entropy.float() * 3),
        priority: 9,
        linger: '20ms',
        envelope_bytes: 512,
        until: freed(),
      },
      eu: {
        topics: ['plant/eu'],
        data_residency: 'eu',
        redundancy: entropy.float() < 0.5 ? inZone('eu', facts).length : 1,
        priority: 5,
        until: freed(),
      },
      telemetry: {
        topics: ['#'],
        priority: 1,
        preferred_providers: entropy.float() < 0.5 ? [pick(CLOUDS, entropy)] : [],
        mode: entropy.float() < 0.3 ? 'split' : 'failover',
        until: freed(),
      },
    },
  };
  return { document, zones: { alarm: null, eu: 'eu', telemetry: null }, isSound: true };
}

/** Everything by default, but for one stream. */
export function plainProposal(telemetry: Options, failover: Options = {}): Proposal {
  const streams = {
    alarm: { topics: ['plant/alarm'] },
    eu: { topics: ['plant/eu'] },
    telemetry: { topics: ['#'], ...telemetry },
  };
  return {
    document: { streams, failover },
    zones: { alarm: null, eu: null, telemetry: null },
    isSound: true,
  };
}

/**
 * Another one. What it changes of one that is replaced `isLive` routing alone reads; `until` stays. Some are
 * not sound.
 */
export function nextProposal(
  { document, zones }: Proposal,
  facts: readonly Facts[],
  entropy: Entropy,
  isLive: boolean,
): Proposal {
  const next = {
    eu: pick(['eu', 'eu', 'us', null] as const, entropy),
    telemetry: pick([null, null, 'eu', 'us'] as const, entropy),
  };
  const here = (zone: Zone | null, copies: number): boolean =>
    zone === null || inZone(zone, facts).length >= copies;
  const newZones = {
    ...zones,
    eu: here(next.eu, Number(document.streams.eu['redundancy'])) ? next.eu : zones.eu,
    telemetry: here(next.telemetry, 1) ? next.telemetry : zones.telemetry,
  };
  const lead = pick(CLOUDS, entropy);
  const routed: Document = {
    ...document,
    scoring: {
      weights: pick([{}, { cost: 0.7, performance: 0.1, compliance: 0.1, reliability: 0.1 }], entropy),
    },
    streams: {
      alarm: { ...document.streams.alarm, preferred_providers: entropy.float() < 0.5 ? [lead] : [] },
      eu: { ...document.streams.eu, data_residency: newZones.eu ?? undefined },
      telemetry: {
        ...document.streams.telemetry,
        data_residency: newZones.telemetry ?? undefined,
        preferred_providers: entropy.float() < 0.5 ? [pick(CLOUDS, entropy)] : [],
        mode: entropy.float() < 0.3 ? 'split' : 'failover',
      },
    },
  };
  const proposal = { document: isLive ? routed : rewritten(routed, entropy), zones: newZones, isSound: true };
  return entropy.float() < 0.25 ? spoilt(proposal, entropy) : proposal;
}

/** Changes that only a restart makes. */
function rewritten({ streams, failover, ...rest }: Document, entropy: Entropy): Document {
  return {
    ...rest,
    failover: { ...failover, dwell: pick(['5s', '10s', '30s'], entropy) },
    hedge: { enabled: entropy.float() < 0.7 },
    streams: {
      alarm: {
        ...streams.alarm,
        redundancy: 1 + Math.floor(entropy.float() * 3),
        linger: pick(['0s', '20ms', '1s'], entropy),
      },
      eu: { ...streams.eu, envelope_bytes: pick([512, 4000], entropy) },
      telemetry: { ...streams.telemetry, linger: pick(['50ms', '200ms', '2s'], entropy) },
    },
  };
}

/** With one thing wrong: the rules of the last good policy go on. */
function spoilt({ document, zones }: Proposal, entropy: Entropy): Proposal {
  const { alarm, eu, telemetry } = document.streams;
  const wrong: Document[] = [
    { ...document, streams: { alarm, telemetry, eu: { ...eu, data_residency: 'atlantis' } } },
    { ...document, streams: { alarm, eu, telemetry: { ...telemetry, topics: ['plant/telemetry'] } } },
    { ...document, streams: { alarm, eu, telemetry: { ...telemetry, mode: 'split', redundancy: 2 } } },
    { ...document, streams: { alarm, eu, telemetry: { ...telemetry, preferred_providers: ['nobody'] } } },
    { ...document, scoring: { weights: { cost: 0.9, performance: 0.9, compliance: 0, reliability: 0 } } },
  ];
  return { document: pick(wrong, entropy), zones, isSound: false };
}

/** As the agent's configuration reads it; null when it refuses. */
export function read(proposal: Proposal, facts: readonly Facts[]): InForce | null {
  const { data: policy } = policySchema.safeParse(proposal.document);
  return policy && policyIssues(policy, facts).length === 0 ? { ...proposal, policy } : null;
}

/** Whether a stream's records may be in a region (I4). */
export function mayHold({ zones }: Proposal, stream: string, region: string): boolean {
  const known = STREAMS.find((name) => name === stream);
  const zone = known ? zones[known] : null;
  return zone === null || ZONES[zone].has(region);
}

function inZone(zone: Zone, facts: readonly Facts[]): Facts[] {
  return facts.filter(({ region }) => ZONES[zone].has(region));
}
