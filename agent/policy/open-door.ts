/** The door of an agent. */
import { join } from 'node:path';
import type { Clock } from '../../shared/clock.ts';
import type { Logger } from '../../shared/log.ts';
import { withAuditStream } from '../audit/stream.ts';
import type { AgentConfig } from '../config/config.ts';
import { PolicyDoor } from './policy-door.ts';

export function openDoor(config: AgentConfig, clock: Clock, log: Logger): Promise<PolicyDoor> {
  const { gateway, policy, data_dir: folder, audit, downlinks } = config;
  return PolicyDoor.open({
    file: join(folder, 'policy-rules.json'),
    gateway,
    policy,
    complete: (given) => (audit.ship ? withAuditStream(given) : given),
    receipts: downlinks.length > 0,
    clock,
    log,
  });
}
