/**
 * One fault drill: steady traffic, a fault at the provider in use, and what each record published since then
 * had to wait for.
 *
 *   detected   from the fault until routing has chosen another provider
 *   recovered  from the fault until records are accepted elsewhere and none is behind: the later of the first
 *              acceptance of a record published after the fault by another provider, and the last acceptance
 *              of a record that took longer than LATE_MS from its publish
 */
import { systemEntropy as entropy } from '../../shared/entropy.ts';
import type { AgentLog } from './agent-log.ts';
import type { CloudName, Clouds } from './clouds.ts';
import { pause } from './programs.ts';
import type { Traffic } from './traffic.ts';

/** Linger, tick and round trip take about 230 ms. */
const LATE_MS = 500;
/** A drill begins when the provider has been in use for this long. */
const IN_USE_MS = 2500;
/** Longer than the linger, so that faults start at any point of it. */
const PHASE_MS = 250;
const POLL_MS = 20;
const SETTLED_MS_MAX = 180_000;
const DELIVERED_MS_MAX = 30_000;

export interface FaultPlan {
  fault: { fault: string; [option: string]: unknown };
  /** How long the fault lasts; then the drill waits until everything is delivered. */
  lastsMs: number;
  /**
   * The provider is slow, not down: routing leaves it by score for a healthy one, and the fault ends then. It
   * begins when all providers are healthy, because permanent slowness becomes the usual latency.
   */
  creeping: boolean;
}

export interface Drill {
  provider: string;
  /** Null when routing never chose another provider. */
  detectedMs: number | null;
  /** Null without a recovery during the fault. */
  recoveredMs: number | null;
  switches: number;
  /** Publishes beyond one for each envelope. */
  extra: number;
  /** The envelopes among `extra` that were accepted a second time. */
  doubled: number;
}

export interface DrillParts {
  log: AgentLog;
  traffic: Traffic;
  clouds: Clouds;
  names: readonly CloudName[];
}

/** Null when the providers do not become healthy enough to begin, for example on an overloaded machine. */
export async function drill(
  { log, traffic, clouds, names }: DrillParts,
  plan: FaultPlan,
): Promise<Drill | null> {
  const inUse = (): CloudName | undefined => names.find((name) => name === log.switches.at(-1)?.to);
  const isWell = (name: CloudName): boolean => log.health(name) === 'healthy';
  const isSettled = (): boolean =>
    (plan.creeping ? names.every(isWell) : names.some((name) => name !== inUse() && isWell(name))) &&
    inUse() !== undefined &&
    Date.now() - (log.switches.at(-1)?.atMs ?? 0) >= IN_USE_MS &&
    isDelivered(log, traffic, Date.now() - LATE_MS);
  if (!(await until(isSettled, SETTLED_MS_MAX))) return null;
  await pause(entropy.float() * PHASE_MS);
  const provider = inUse();
  if (!provider) throw new Error('no provider is in use');
  const faultMs = Date.now();
  await clouds.setFault(provider, plan.fault);
  const isLeft = (): boolean => plan.creeping && inUse() !== provider;
  while (Date.now() < faultMs + plan.lastsMs && !isLeft()) await pause(POLL_MS);
  const delivered = (): boolean => isDelivered(log, traffic, Date.now() - LATE_MS);
  // A switch takes effect with the next envelope.
  await pause(LATE_MS);
  await until(delivered, DELIVERED_MS_MAX);
  const endMs = Date.now();
  await clouds.setFault(provider, null);
  return judged({ log, traffic }, provider, faultMs, endMs);
}

/** Whether all records published until then were accepted by any provider. */
function isDelivered(log: AgentLog, traffic: Traffic, untilMs: number): boolean {
  for (let seq = traffic.seqs.last; seq >= traffic.seqs.first; seq--) {
    if (traffic.publishedMs(seq) > untilMs) continue;
    if (log.acceptedMs(seq) === null) return false;
    // Stops at the longest possible disturbance: a longer look back would take ever longer.
    if (traffic.publishedMs(seq) < untilMs - 2 * DELIVERED_MS_MAX) return true;
  }
  return true;
}

function judged(
  { log, traffic }: Pick<DrillParts, 'log' | 'traffic'>,
  provider: string,
  faultMs: number,
  endMs: number,
): Drill {
  const during = <Event extends { atMs: number }>(events: readonly Event[]): Event[] =>
    events.filter(({ atMs }) => atMs >= faultMs && atMs <= endMs);
  const switches = during(log.switches);
  const acceptances = during(log.acceptances);
  const elsewhere = acceptances.find(
    (taken) => taken.provider !== provider && traffic.publishedMs(taken.last) >= faultMs,
  );
  let behindMs = elsewhere?.atMs ?? Number.POSITIVE_INFINITY;
  for (let seq = traffic.seqs.last; seq >= traffic.seqs.first; seq--) {
    const publishedMs = traffic.publishedMs(seq);
    if (publishedMs > endMs - LATE_MS) continue;
    if (publishedMs < faultMs - LATE_MS) break;
    const acceptedMs = log.acceptedMs(seq) ?? Number.POSITIVE_INFINITY;
    if (acceptedMs < publishedMs - 1) throw new Error(`record ${seq} was accepted before it was published`);
    if (acceptedMs - publishedMs > LATE_MS) behindMs = Math.max(behindMs, acceptedMs);
  }
  const left = switches.find(({ from }) => from === provider);
  const envelopes = new Set(acceptances.map(({ first, last }) => `${first}-${last}`));
  return {
    provider,
    detectedMs: left ? left.atMs - faultMs : null,
    recoveredMs: Number.isFinite(behindMs) ? behindMs - faultMs : null,
    switches: switches.length,
    extra:
      acceptances.length +
      log.failuresMs.filter((atMs) => atMs >= faultMs && atMs <= endMs).length -
      envelopes.size,
    doubled: acceptances.length - envelopes.size,
  };
}

/** Whether the condition became true in time. */
async function until(isSo: () => boolean, waitMs: number): Promise<boolean> {
  const endsMs = Date.now() + waitMs;
  while (!isSo()) {
    if (Date.now() > endsMs) return false;
    await pause(POLL_MS);
  }
  return true;
}
