/** A fleet with several keys for each role, and documents of it as bytes. */
import { seededEntropy } from '../../../shared/entropy.ts';
import {
  accept,
  type FleetState,
  firstState,
  type Member,
  type Now,
} from '../../../shared/fleet/core/acceptance.ts';
import type { DsseEnvelope } from '../../../shared/fleet/core/envelope.ts';
import { PAYLOAD_TYPES } from '../../../shared/fleet/core/kinds.ts';
import {
  type FleetContent,
  fleetVerifier,
  publicKeyOf,
  signFleetDocument,
} from '../../../shared/fleet/sign.ts';
import { newPrivateKey } from '../../../shared/signing/private-key.ts';
import { type Signer, signatureOf, signerOf } from '../../../shared/signing/signature.ts';
import { compress } from '../../../shared/zstd.ts';

type Kind = FleetContent['kind'];
type ContentOf<K extends Kind> = Extract<FleetContent, { kind: K }>['content'];

const key = (seed: number): Signer => signerOf(newPrivateKey(seededEntropy(seed)));

/** Root 1: roots by two of three, policies by two, assignments and orders by one. */
export const KEYS = {
  roots: [key(1), key(2), key(3)] as const,
  policies: [key(4), key(5)] as const,
  assign: key(6),
  ops: key(7),
  stranger: key(8),
  /** Of later roots. */
  later: [key(9), key(10)] as const,
};

export const DAY_MS = 86_400_000;
/** 2026-12-01T00:00:00Z. */
export const ISSUED_MS = 1_796_083_200_000;
export const AUTHORITY = 'plant-3f9a2c1b';
export const MEMBER: Member = { gateway: 'gw-1', groups: ['eu'] };
export const NOW: Now = { synchronisedMs: ISSUED_MS + 1000 };

export function role(signers: readonly Signer[], threshold = signers.length) {
  return { keys: signers.map(({ keyId }) => keyId), threshold };
}

export function publicKeys(signers: readonly Signer[]): Record<string, string> {
  return Object.fromEntries(signers.map((one) => [one.keyId, publicKeyOf(one)]));
}

export function root(changes: Partial<ContentOf<'root'>> = {}): ContentOf<'root'> {
  const { roots, policies, assign, ops } = KEYS;
  return {
    authority: AUTHORITY,
    term: 1,
    version: 1,
    issued_ms: ISSUED_MS - DAY_MS,
    keys: publicKeys([...roots, ...policies, assign, ops]),
    roles: { root: role(roots, 2), policy: role(policies), assign: role([assign]), ops: role([ops]) },
    ...changes,
  };
}

export function policy(changes: Partial<ContentOf<'policy'>> = {}): ContentOf<'policy'> {
  return {
    authority: AUTHORITY,
    policy: { version: 2, streams: { telemetry: { topics: ['#'], linger: '150ms' } } },
    requires: { agent: '0.2.0', providers: ['aws'] },
    note: 'shorter linger',
    ...changes,
  };
}

export function assignment(changes: Partial<ContentOf<'assignment'>> = {}): ContentOf<'assignment'> {
  return {
    authority: AUTHORITY,
    term: 1,
    root: 1,
    sequence: 1,
    scope: { group: 'eu' },
    issued_ms: ISSUED_MS,
    accept_until_ms: ISSUED_MS + 7 * DAY_MS,
    digest: BODY.digest,
    baseline: null,
    rollout: 'ro-1',
    trial: { confirm_within_ms: 600_000 },
    holds: [],
    freeze: false,
    ...changes,
  };
}

export function order(changes: Partial<ContentOf<'order'>> = {}): ContentOf<'order'> {
  return {
    authority: AUTHORITY,
    term: 1,
    root: 1,
    sequence: 1,
    scope: { group: 'all' },
    issued_ms: ISSUED_MS,
    accept_until_ms: ISSUED_MS + DAY_MS,
    action: { do: 'freeze' },
    ...changes,
  };
}

/** A document as it travels, with its name. */
export interface Sent {
  text: string;
  digest: string;
}

export function sent(signers: readonly Signer[], content: FleetContent): Sent {
  const { envelope, digest } = signFleetDocument(signers, content);
  return { text: JSON.stringify(envelope), digest };
}

/** Any bytes as the payload of a kind, whatever an honest signer would refuse. */
export function sentBytes(signers: readonly Signer[], kind: Kind | null, payload: Uint8Array): Sent {
  const payloadType = kind === null ? 'application/vnd.headgate.receipt' : PAYLOAD_TYPES[kind];
  const signatures = signers.map((one) => ({
    keyid: one.keyId,
    sig: Buffer.from(signatureOf(one, payloadType, payload)).toString('base64'),
  }));
  const envelope = { payloadType, payload: Buffer.from(payload).toString('base64'), signatures };
  return { text: JSON.stringify(envelope), digest: '' };
}

/** Any content, packed and named as an honest one is. */
export function sentRaw(signers: readonly Signer[], kind: Kind, raw: Uint8Array | string): Sent {
  const bytes = Buffer.from(raw);
  return { ...sentBytes(signers, kind, compress(bytes, 19)), digest: fleetVerifier.sha256(bytes) };
}

/** The same document with another envelope around it. */
export function withEnvelope({ text, digest }: Sent, change: (envelope: DsseEnvelope) => void): Sent {
  const envelope: DsseEnvelope = JSON.parse(text);
  change(envelope);
  return { text: JSON.stringify(envelope), digest };
}

export const ROOT = sent(KEYS.roots, { kind: 'root', content: root() });
export const BODY = sent(KEYS.policies, { kind: 'policy', content: policy() });

export const CONTEXT = { member: MEMBER, now: NOW, verifier: fleetVerifier };

/** The state of a gateway with root 1 that accepted all of these. */
export function stateAfter(...documents: readonly Sent[]): FleetState {
  const first = firstState(ROOT.text, ROOT.digest, fleetVerifier);
  if ('refusal' in first) throw new Error(JSON.stringify(first.refusal));
  let { state } = first;
  for (const { text } of documents) {
    const next = accept(state, text, CONTEXT);
    if ('refusal' in next) throw new Error(JSON.stringify(next.refusal));
    state = next.state;
  }
  return state;
}
