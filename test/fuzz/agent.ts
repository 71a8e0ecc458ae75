/** The agent that is attacked: as an operator runs it, with small bounds, so that a run reaches all of them. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { configFile } from '../crash/agent-process.ts';

/** Nobody listens on the provider's port: everything that is taken stays in the buffer. */
export function writeAgentConfig(
  dir: string,
  ports: { broker: number; admin: number; nobody: number },
): void {
  mkdirSync(join(dir, 'data'), { recursive: true });
  const config = {
    gateway: 'fuzz-1',
    data_dir: join(dir, 'data'),
    log: { level: 'info' },
    admin: { host: '127.0.0.1', port: ports.admin },
    buffer: { max_bytes: '64MiB' },
    broker: {
      allow_anonymous: true,
      listeners: [{ type: 'tcp', host: '127.0.0.1', port: ports.broker }],
      connect_timeout: '1s',
      // One address is all of them here.
      max_connect_rate: 0,
      max_connect_rate_per_address: 0,
      sessions: {
        max_sessions: 100,
        max_queued_messages: 100,
        max_queued_bytes: '64KiB',
        max_total_queued_bytes: '1MiB',
        max_retained_messages: 100,
        max_retained_bytes: '1MiB',
      },
    },
    providers: [{ name: 'unreachable', type: 'mqtt', url: `mqtt://127.0.0.1:${ports.nobody}` }],
    policy: { streams: { alarms: { topics: ['plant/+/alarm'] }, telemetry: { topics: ['#'] } } },
  };
  writeFileSync(configFile(dir), stringify(config));
}
