/**
 * The faults of a world, as data: drawn from the seed in order of time, so that a failing world can be shrunk
 * by leaving faults out, and replayed by naming those that are left.
 */
import type { Entropy } from '../../shared/entropy.ts';

export const CLOUDS = ['aws', 'azure', 'gcp'] as const;
export type CloudName = (typeof CLOUDS)[number];

/** The effect of a cloud, or of the way to it, on publishes while the fault lasts. */
export type CloudFaultKind =
  | 'refuse'
  | 'blackhole'
  | 'throttle'
  | 'unauthorized'
  /** A share of the publishes gets lost, or is answered with an error. */
  | 'loss'
  | 'error'
  /** Taken, but the answer gets lost. */
  | 'ack-loss'
  /** Acknowledged and dropped. */
  | 'grey'
  | 'slow';

export type Fault =
  | {
      kind: CloudFaultKind;
      atMs: number;
      durationMs: number;
      /** Null: all of them. */
      cloud: CloudName | null;
      gateway: number | null;
      /** Share of the publishes, in (0, 1]; of `slow`, a tenth of the factor. */
      share: number;
    }
  | { kind: 'disk-stall'; atMs: number; durationMs: number; gateway: number }
  | { kind: 'disk-failure'; atMs: number; durationMs: number; gateway: number }
  /** SIGKILL; it comes back after `durationMs`. */
  | { kind: 'agent-crash'; atMs: number; durationMs: number; gateway: number }
  /** Power cut: monotonic time begins again, the wall clock in 1970. */
  | { kind: 'reboot'; atMs: number; durationMs: number; gateway: number }
  | { kind: 'clock-jump'; atMs: number; durationMs: 0; gateway: number; jumpMs: number }
  /** An older copy of the buffer is put back. */
  | { kind: 'restore'; atMs: number; durationMs: number; gateway: number }
  /** Receipts do not come through; `share` of the polls fails. */
  | { kind: 'receipt-loss'; atMs: number; durationMs: number; gateway: number | null; share: number }
  /** An operator's hold, released by hand at its end; it may end by itself after `forMs`. */
  | {
      kind: 'hold';
      atMs: number;
      durationMs: number;
      gateway: number;
      /** Null: all of them. */
      cloud: CloudName | null;
      reason: string;
      forMs: number | null;
    }
  /**
   * Another policy, drawn from `draw`: at a restart that takes `durationMs`, or, `isLive`, of what routing
   * alone reads, at once.
   */
  | { kind: 'policy'; atMs: number; durationMs: number; gateway: number; draw: number; isLive: boolean }
  | { kind: 'router-crash'; atMs: number; durationMs: number; gateway: null }
  /** The ledger refuses to commit. */
  | { kind: 'ledger-failure'; atMs: number; durationMs: number; gateway: null };

export interface Plan {
  gateways: number;
  endMs: number;
  faults: readonly Fault[];
}

const DAY_MS = 86_400_000;
const GATEWAYS_MAX = 3;
/** Between two faults of a world of one gateway, in the mean. */
const FAULT_EVERY_MS = 18_000_000;
const SHORTEST_MS = 500;
const LONGEST_MS = 7_200_000;
/** Faults come in clusters: so often the next one strikes within a minute. */
const CLUSTER_SHARE = 0.35;
const CLUSTER_MS = 60_000;

/** Of what happens, this share is an operator's doing, or happens to the receipts. */
const CONTROL_SHARE = 0.3;
const HOLD_REASONS = ['by hand', 'storm', 'audit'] as const;

const CLOUD_FAULTS: readonly CloudFaultKind[] = [
  'refuse',
  'refuse',
  'blackhole',
  'blackhole',
  'throttle',
  'unauthorized',
  'loss',
  'error',
  'ack-loss',
  'ack-loss',
  'grey',
  'slow',
];

/** The plan of a seed. A plan of fewer days begins like one of more. */
export function planOf(entropy: Entropy, days: number): Plan {
  const gateways = 1 + Math.floor(entropy.float() * GATEWAYS_MAX);
  const endMs = days * DAY_MS;
  const faults: Fault[] = [];
  for (let atMs = 5000; ; ) {
    const mean = entropy.float() < CLUSTER_SHARE ? CLUSTER_MS : FAULT_EVERY_MS / gateways;
    atMs += Math.round(-Math.log(1 - entropy.float()) * mean) + 1;
    if (atMs > endMs) return { gateways, endMs, faults };
    faults.push(faultAt(atMs, gateways, entropy));
  }
}

function faultAt(atMs: number, gateways: number, entropy: Entropy): Fault {
  const gateway = Math.floor(entropy.float() * gateways);
  const durationMs = Math.round(SHORTEST_MS * (LONGEST_MS / SHORTEST_MS) ** entropy.float());
  const briefMs = Math.min(durationMs, 30_000);
  if (entropy.float() < CONTROL_SHARE) return controlFault(atMs, durationMs, gateway, entropy);
  const draw = entropy.float();
  if (draw < 0.58) return cloudFault(atMs, durationMs, gateway, entropy);
  if (draw < 0.64) return { kind: 'disk-stall', atMs, durationMs: briefMs, gateway };
  if (draw < 0.7) return { kind: 'disk-failure', atMs, durationMs: briefMs, gateway };
  if (draw < 0.78) return { kind: 'agent-crash', atMs, durationMs, gateway };
  if (draw < 0.82) return { kind: 'reboot', atMs, durationMs: briefMs, gateway };
  if (draw < 0.88) {
    const jumpMs = Math.round((entropy.float() - 0.5) * 2 * DAY_MS * (entropy.float() < 0.3 ? 10_000 : 1));
    return { kind: 'clock-jump', atMs, durationMs: 0, gateway, jumpMs };
  }
  if (draw < 0.9) return { kind: 'restore', atMs, durationMs: briefMs, gateway };
  if (draw < 0.95) return { kind: 'router-crash', atMs, durationMs, gateway: null };
  return { kind: 'ledger-failure', atMs, durationMs: briefMs, gateway: null };
}

function controlFault(atMs: number, durationMs: number, gateway: number, entropy: Entropy): Fault {
  const draw = entropy.float();
  if (draw < 0.2) {
    const share = entropy.float() < 0.5 ? 1 : entropy.float();
    return { kind: 'receipt-loss', atMs, durationMs, gateway: entropy.float() < 0.4 ? gateway : null, share };
  }
  if (draw < 0.65) {
    const cloud = entropy.float() < 0.15 ? null : pick(CLOUDS, entropy);
    const forMs = entropy.float() < 0.3 ? 1000 + Math.round(durationMs * entropy.float()) : null;
    return { kind: 'hold', atMs, durationMs, gateway, cloud, reason: pick(HOLD_REASONS, entropy), forMs };
  }
  const isLive = entropy.float() < 0.5;
  const draws = Math.floor(entropy.float() * 2 ** 32);
  return { kind: 'policy', atMs, durationMs: Math.min(durationMs, 30_000), gateway, draw: draws, isLive };
}

function cloudFault(atMs: number, durationMs: number, gateway: number, entropy: Entropy): Fault {
  const kind = pick(CLOUD_FAULTS, entropy);
  const cloud = entropy.float() < 0.2 ? null : pick(CLOUDS, entropy);
  const isOnePath = entropy.float() < 0.4;
  const share = entropy.float() < 0.3 ? 1 : 0.1 + 0.9 * entropy.float();
  return { kind, atMs, durationMs, cloud, gateway: isOnePath ? gateway : null, share };
}

export function pick<T>(values: readonly [T, ...T[]] | readonly T[], entropy: Entropy): T {
  const value = values[Math.floor(entropy.float() * values.length)];
  if (value === undefined) throw new RangeError('nothing to pick from');
  return value;
}
