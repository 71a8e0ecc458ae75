/** The parts of the agent that follow the policy, the one step in which they take another, and its source. */
import { noteApplied } from '../../shared/audit/applied.ts';
import type { AuditLog } from '../../shared/audit/audit-log.ts';
import type { Clock } from '../../shared/clock.ts';
import type { ConfigResult } from '../../shared/config/load.ts';
import type { Logger } from '../../shared/log.ts';
import type { ProviderFacts } from '../../shared/policy/policy.ts';
import type { Intake } from '../broker/intake.ts';
import type { AgentConfig } from '../config/config.ts';
import { intakeRules } from '../config/intake-rules.ts';
import { storeLimits } from '../config/store-options.ts';
import type { Meter } from '../cost/meter.ts';
import type { ReceiptTracker } from '../downlink/receipt-tracker.ts';
import type { Forwarder } from '../forward/forwarder.ts';
import type { LiveRouting } from '../routing/live-routing.ts';
import type { Store } from '../store/store.ts';
import type { PolicyDoor, PolicyFollowers } from './policy-door.ts';
import { PolicySource, type Sections } from './policy-source.ts';

interface FollowingParts {
  door: PolicyDoor;
  audit: AuditLog;
  config: AgentConfig;
  /** Providers that the configuration switches on. */
  facts: readonly ProviderFacts[];
  /** By stream: the reason why its records can never leave. */
  stranded: () => ReadonlyMap<string, string>;
  store: Store;
  routing: LiveRouting;
  forwarder: Forwarder;
  tracker: ReceiptTracker;
  meter: Meter;
  intake: Intake;
  clock: Clock;
  log: Logger;
}

/** Reads the configuration again. */
export type LoadConfig = () => ConfigResult<AgentConfig>;

/** Lets the parts follow the door; returns what reads the policy again. `given`: as the file has it. */
export function followPolicy(parts: FollowingParts, given: AgentConfig, load: LoadConfig): PolicySource {
  const { door, audit, clock, log } = parts;
  door.leadsTo(followers(parts));
  return new PolicySource({
    door,
    running: sectionsOf(given),
    load() {
      const loaded = load();
      return loaded.ok ? { ok: true, config: sectionsOf(loaded.config) } : loaded;
    },
    policyFile: given.policyFile,
    onTaken: (policy) => noteSections({ config: { ...given, policy }, audit, via: 'reload', clock, log }),
    clock,
    log,
  });
}

/** Notes a changed configuration in the audit log. Never rejects. */
export function noteSections({
  config,
  ...noted
}: {
  config: AgentConfig;
  audit: AuditLog;
  via: 'start' | 'reload';
  clock: Clock;
  log: Logger;
}): Promise<void> {
  return noteApplied({ ...noted, dataDir: config.data_dir, sections: sectionsOf(config) });
}

/** The sections of the file, without what is derived from them. */
function sectionsOf(config: AgentConfig): Sections {
  const { tariffs: _, providerTypes: __, policyFile: ___, ...sections } = config;
  return sections;
}

function followers(parts: FollowingParts): PolicyFollowers {
  const { config, facts, stranded, store, routing, forwarder, tracker, meter, intake, log } = parts;
  return {
    held() {
      if (!store.isOpen) return null;
      const held = [...forwarder.queued()].filter(({ queues }) => queues.length > 0);
      return new Set([...held.map(({ name }) => name), ...store.lossWindows().map(({ stream }) => stream)]);
    },
    takeEffect(policy) {
      // Where records may go is known before the first one comes.
      void store.setLimits(storeLimits({ ...config, policy }));
      forwarder.setPolicy(policy);
      routing.dispatch({ kind: 'policy', policy });
      tracker.lagMs = policy.failover.receipt_lag;
      meter.setCost(policy.cost);
      intake.setRules(intakeRules(config, policy, facts));
      for (const [stream, reason] of stranded()) log.error({ event: 'routing.stranded', stream, reason });
    },
  };
}
