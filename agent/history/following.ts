/** The history of an agent, which follows its buffer and its routing. */
import { join } from 'node:path';
import type { Clock } from '../../shared/clock.ts';
import type { Logger } from '../../shared/log.ts';
import type { ProviderFacts } from '../../shared/policy/policy.ts';
import type { BootClock } from '../clock/boot-clock.ts';
import type { AgentConfig } from '../config/config.ts';
import type { LiveRouting } from '../routing/live-routing.ts';
import type { Store } from '../store/store.ts';
import { History } from './history.ts';

interface Followed {
  config: AgentConfig;
  bootClock: BootClock;
  store: Store;
  routing: LiveRouting;
  facts: readonly ProviderFacts[];
  clock: Clock;
  log: Logger;
}

export function followingHistory({
  config,
  bootClock,
  store,
  routing,
  facts,
  clock,
  log,
}: Followed): History {
  const history = new History({
    folder: join(config.data_dir, 'history'),
    bounds: { maxBytes: config.history.max_bytes, maxAgeMs: config.history.max_age },
    writeEveryMs: config.history.write_every,
    setup: { gateway: config.gateway, policy: config.policy, providers: facts },
    routingNow: () => ({
      providers: routing.providers(),
      chosen: routing.chosen(),
      inputs: routing.scoreInputs(),
    }),
    currentClock: () => bootClock.current(),
    mayWrite: () => store.state() === 'ok',
    clock,
    log,
  });
  routing.onStep((event, effects) => history.observed(event, effects));
  store.onCommit((committed) => history.committed(committed));
  store.onGaps((gaps) => history.gaveUp(gaps));
  store.onReopen(() => history.epochBegan());
  return history;
}
