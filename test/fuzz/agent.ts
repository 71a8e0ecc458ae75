/**
 * The agent that is attacked: as an operator runs it, with small bounds, so that a run reaches all of them.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { deviceFilePath } from '../../agent/broker/access/device-file.ts';
import { createCertificateAuthority } from '../../loopback/ca.ts';
import { systemClock } from '../../shared/clock.ts';
import { systemEntropy } from '../../shared/entropy.ts';
import { configFile } from '../crash/agent-process.ts';
import { GOOD_DEVICE, HOSTILE_DEVICE, type Transport, type TransportName, transportTo } from './transport.ts';

/** Both may do everything, as anonymous clients may. */
const DEVICES = {
  version: 1,
  devices: [HOSTILE_DEVICE, GOOD_DEVICE].map((name) => ({
    name,
    created: '2026-01-01T00:00:00Z',
    rules: [{ allow: 'both', topic: '#' }],
  })),
  groups: [],
};

/**
 * Nobody listens on the provider's port: everything that is taken stays in the buffer. Gives the way to its
 * listener.
 */
export async function writeAgentConfig(
  dir: string,
  ports: { broker: number; admin: number; nobody: number },
  transport: TransportName,
): Promise<Transport> {
  mkdirSync(join(dir, 'data'), { recursive: true });
  const ca = await createCertificateAuthority(systemClock, systemEntropy);
  const files = {
    cert_file: join(dir, 'cert.pem'),
    key_file: join(dir, 'key.pem'),
    client_ca_file: join(dir, 'ca.pem'),
  };
  if (transport === 'tls') {
    const server = await ca.issue('localhost', 'server');
    writeFileSync(files.cert_file, server.cert);
    writeFileSync(files.key_file, server.key, { mode: 0o600 });
    writeFileSync(files.client_ca_file, ca.ca);
    writeFileSync(deviceFilePath(join(dir, 'data')), JSON.stringify(DEVICES), { mode: 0o600 });
  }
  const config = {
    gateway: 'fuzz-1',
    data_dir: join(dir, 'data'),
    log: { level: 'info' },
    admin: { host: '127.0.0.1', port: ports.admin },
    buffer: { max_bytes: '64MiB' },
    broker: {
      allow_anonymous: true,
      listeners: [
        {
          type: transport,
          host: '127.0.0.1',
          port: ports.broker,
          ...(transport === 'tls' && { auth: 'certificate', ...files }),
        },
      ],
      connect_timeout: '5s',
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
  return transportTo(transport, ports.broker, {
    ca,
    hostile: await ca.issue(HOSTILE_DEVICE, 'client'),
    good: await ca.issue(GOOD_DEVICE, 'client'),
  });
}
