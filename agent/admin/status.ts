/** The agent's JSON route `/v1/status`. Types in shared/admin-api/status.ts. */

import type {
  AgentStatus,
  AgentStreamStatus,
  GivenUpStatus,
  ProviderStatus,
} from '../../shared/admin-api/status.ts';
import type { AdminRoute } from '../../shared/admin-server.ts';
import { type Clock, isoTime } from '../../shared/clock.ts';
import type { Policy } from '../../shared/policy/policy.ts';
import { packageVersion } from '../../shared/version.ts';
import type { Broker } from '../broker/broker.ts';
import type { Intake } from '../broker/intake.ts';
import type { BrokerStats } from '../broker/options.ts';
import type { BootClock } from '../clock/boot-clock.ts';
import type { AgentConfig } from '../config/config.ts';
import type { ReceiptReceiver } from '../downlink/receiver.ts';
import type { RouterKeys } from '../downlink/router-keys.ts';
import type { Sender } from '../forward/delivery/sender.ts';
import type { Forwarder } from '../forward/forwarder.ts';
import type { Holds } from '../holds/holds.ts';
import { holdTexts } from '../holds/text.ts';
import type { Sealing } from '../keys/sealing.ts';
import type { Signing } from '../keys/signing.ts';
import type { PolicyDoor } from '../policy/policy-door.ts';
import type { CredentialPublisher } from '../providers/credentials/rotating-publisher.ts';
import type { LiveRouting } from '../routing/live-routing.ts';
import type { Store } from '../store/store.ts';

export interface AgentParts {
  config: AgentConfig;
  store: Store;
  broker: Broker;
  intake: Intake;
  forwarder: Forwarder;
  routing: LiveRouting;
  senders: ReadonlyMap<string, Sender>;
  holds: Holds;
  door: PolicyDoor;
  stranded: () => ReadonlyMap<string, string>;
  publishers: ReadonlyMap<string, CredentialPublisher>;
  bootClock: BootClock;
  signing: Signing;
  receiver: ReceiptReceiver;
  routerKeys: RouterKeys;
  sealing: Sealing;
  clock: Clock;
}

const NO_SENDER = { accepted: 0, failed: 0, units: 0 };

export function statusRoutes(parts: AgentParts): Record<string, AdminRoute> {
  const startedMs = parts.clock.monoMs();
  // Read now: later the process may have no file descriptor left.
  const version = packageVersion();
  return { '/v1/status': async () => ({ status: 200, body: await agentStatus(parts, startedMs, version) }) };
}

async function agentStatus(parts: AgentParts, startedMs: number, version: string): Promise<AgentStatus> {
  const { config, store, broker, routing, bootClock, signing, sealing, clock } = parts;
  const { rows, bytes, fileBytes, walBytes } = await store.stats();
  const { quality, offsetMs } = bootClock.current();
  return {
    kind: 'agent',
    gateway: config.gateway,
    version,
    epoch: store.epoch,
    uptimeSeconds: (clock.monoMs() - startedMs) / 1000,
    clock: { quality, offsetMs },
    signing: { keyId: signing.keyId, envelopes: signing.signer !== null },
    receipts: receipts(parts),
    policy: policyStatus(parts),
    sealing: { streams: sealedStreams(parts.door.present), keyIds: sealing.keyIds },
    broker: withReasons(broker.stats()),
    buffer: { rows, bytes, fileBytes, walBytes, ...store.space, state: store.state() },
    givenUp: givenUp(store, clock.monoMs(), startedMs),
    streams: streams(parts),
    providers: providers(parts),
    switches: [...routing.switches()],
  };
}

function receipts({ config, receiver, routerKeys }: AgentParts): NonNullable<AgentStatus['receipts']> {
  const { accept, counts } = receiver;
  return { accept, routerKeys: routerKeys.ids, counts: { ...counts }, downlinks: config.downlinks.length };
}

function policyStatus({ door, forwarder }: AgentParts): NonNullable<AgentStatus['policy']> {
  const left = forwarder.streams().filter(({ name }) => door.draining.has(name));
  const waits = left.filter((stream) => stream.pending + stream.awaitingReceipt > 0);
  return { ...door.state, draining: waits.map(({ name }) => name) };
}

function sealedStreams({ streams }: Policy): string[] {
  return Object.entries(streams).flatMap(([name, { seal }]) => (seal ? [name] : []));
}

function withReasons({ refusals, ...stats }: BrokerStats): AgentStatus['broker'] {
  return { ...stats, refusals: { ...refusals } };
}

function givenUp({ evicted }: Store, nowMs: number, startedMs: number): GivenUpStatus {
  return {
    records: evicted.reduce((sum, { records }) => sum + records, 0),
    sinceMs: Math.round(nowMs - startedMs),
    before: evicted.reduce((sum, { before }) => sum + before, 0),
    streams: evicted.map(({ lastMs, ...count }) => ({
      ...count,
      lastMs: lastMs === null ? null : Math.round(nowMs - lastMs),
    })),
  };
}

function streams({ door, forwarder, routing, intake, stranded }: AgentParts): AgentStreamStatus[] {
  const rules = door.present.streams;
  const never = stranded();
  return forwarder.streams().map(({ timeToDrainMs, ...stream }) => {
    const copies = rules[stream.name]?.redundancy ?? 1;
    return {
      ...stream,
      intakeFailed: intake.counters().get(stream.name)?.failed ?? 0,
      chosen: routing.using(stream.name, copies),
      stranded: never.get(stream.name) ?? null,
      timeToDrainSeconds: timeToDrainMs === null ? null : Math.ceil(timeToDrainMs / 1000),
    };
  });
}

/**
 * The score of a provider is its score for the stream it serves, or for the first stream when it serves none.
 */
function providers({
  config,
  door,
  routing,
  senders,
  publishers,
  holds: manual,
  clock,
}: AgentParts): ProviderStatus[] {
  const explained = Object.keys(door.present.streams).flatMap((stream) => routing.explain(stream));
  return routing.providers().map((provider) => {
    const { provider: name, health, holds, latencyP50Ms, latencyP95Ms, successRate } = provider;
    const own = explained.filter((entry) => entry.provider === name);
    const shown = own.find((entry) => entry.chosen) ?? own[0];
    const configured = config.providers.find((entry) => entry.name === name);
    const { accepted, failed, units } = senders.get(name)?.counters ?? NO_SENDER;
    return {
      name,
      type: configured?.type ?? 'unknown',
      region: configured?.region ?? '',
      health,
      sinceMs: Math.round(clock.monoMs() - provider.sinceMs),
      score: shown?.score ?? 0,
      parts: shown?.parts ?? { cost: 0, performance: 0, compliance: 0, reliability: 0 },
      holds: holdTexts(name, holds, manual),
      p50Ms: latencyP50Ms,
      p95Ms: latencyP95Ms,
      successRate,
      accepted,
      failed,
      units,
      fault: faultOf(senders.get(name)?.fault ?? null, clock.monoMs()),
      credentials: credentials(publishers.get(name)),
    };
  });
}

function faultOf(fault: Sender['fault'], nowMs: number): ProviderStatus['fault'] {
  if (fault === null) return null;
  const { cause, detail, sinceMs } = fault;
  return { cause, detail, forMs: Math.round(nowMs - sinceMs) };
}

function credentials(publisher: CredentialPublisher | undefined): ProviderStatus['credentials'] {
  if (!publisher) return { slot: 'credentials', standing: 'untried', expiresAt: null };
  const { inUse, standing, expiresMs } = publisher.credentials();
  return { slot: inUse, standing, expiresAt: expiresMs === null ? null : isoTime(expiresMs) };
}
