/**
 * `config check --connect` of an agent.yaml: its enabled providers. The last phase publishes a heartbeat: an
 * envelope without records, of an epoch that no gateway uses. IoT Hub allows one connection per device: the
 * connection of a running agent is cut, and the agent reconnects.
 */
import { readFile } from 'node:fs/promises';
import type { AgentConfig } from '../../agent/config/config.ts';
import { heartbeat } from '../../agent/forward/heartbeat.ts';
import { presentSigner } from '../../agent/keys/signing.ts';
import { openPublisher } from '../../agent/providers/open.ts';
import { typeOf } from '../../agent/providers/provider-type.ts';
import type { Outcome } from '../../agent/providers/publisher.ts';
import { PROVIDER_TYPES } from '../../agent/providers/types.ts';
import type { Clock } from '../../shared/clock.ts';
import {
  type CheckedPart,
  type ConnectCheck,
  type ConnectDeps,
  PHASE_MS,
  PhaseFailure,
} from '../../shared/connect-check/phases.ts';
import { type TlsMaterial, wayPhases } from '../../shared/connect-check/way.ts';
import { connectionStringParts } from '../../shared/connection-string.ts';
import { placeOf } from '../../shared/gcp/connection.ts';
import { createLogger } from '../../shared/log.ts';
import { NO_PROXY } from '../../shared/network/options.ts';
import { proxyFor } from '../../shared/network/proxy.ts';
import { mapping, text } from './finding.ts';

type Entry = AgentConfig['providers'][number];
type Fields = Readonly<Record<string, unknown>>;

export function agentParts(config: AgentConfig, { clock }: ConnectDeps): CheckedPart[] {
  return config.providers
    .filter(({ enabled }) => enabled)
    .map((provider) => ({
      entry: `providers.${provider.name}`,
      type: provider.type,
      check: async () => connectCheck(provider, config, clock),
    }));
}

function connectCheck(entry: Entry, config: AgentConfig, clock: Clock): ConnectCheck {
  const { host, port, isSecure, option } = addressOf(entry);
  const fields = mapping(entry);
  // Plain MQTT knows no proxy, and a certificate of IoT Hub goes directly.
  const isDirect =
    /^mqtts?:/.test(text(fields['url']) ?? '') || (entry.type === 'azure' && isDirectHub(fields));
  const way = wayPhases({
    targets: [{ host, port }],
    option,
    tls: isSecure ? { option: 'ca_file', read: () => material(fields) } : null,
    network: {
      proxy: isDirect ? NO_PROXY : (text(fields['proxy']) ?? undefined),
      local_address: text(fields['local_address']) ?? undefined,
      isSecure,
    },
    clock,
  });
  return {
    phases: [
      ...way.phases,
      {
        name: 'publish',
        option: 'credentials',
        run: () => publish(entry, config, clock),
        limitMs: PHASE_MS + 1000,
      },
    ],
    close: async () => way.close(),
  };
}

async function material(fields: Fields): Promise<TlsMaterial> {
  const read = async (name: string): Promise<string | undefined> => {
    const file = text(fields[name]);
    return file === null ? undefined : readFile(file, 'utf8');
  };
  const [ca, cert, key] = await Promise.all(['ca_file', 'cert_file', 'key_file'].map(read));
  return { ca, cert, key };
}

async function publish(entry: Entry, config: AgentConfig, clock: Clock): Promise<string | null> {
  const log = createLogger({ level: 'silent', levels: {} });
  const publisher = await openPublisher(typeOf(PROVIDER_TYPES, entry), entry, { clock, log });
  try {
    const unknown = { bootId: 'config-check', offsetMs: 0, quality: 'unsynchronised' } as const;
    const message = heartbeat(config.gateway, '', unknown, await presentSigner(config));
    const attempt = { endsAtMs: clock.monoMs() + PHASE_MS, signal: new AbortController().signal };
    const outcome = await publisher.publish(message, attempt);
    if (outcome.kind === 'accepted') return null;
    throw new PhaseFailure(problemOf(outcome), {});
  } finally {
    await publisher.close();
  }
}

function problemOf(outcome: Exclude<Outcome, { kind: 'accepted' }>): string {
  const cause = 'cause' in outcome ? ` (${outcome.cause})` : '';
  return `${outcome.kind}${cause}: ${outcome.detail}`;
}

interface Address {
  host: string;
  port: number;
  /** TLS first. */
  isSecure: boolean;
  /** The option that names it. */
  option: string;
}

const PORTS: Readonly<Record<string, number>> = {
  'mqtt:': 1883,
  'mqtts:': 8883,
  'http:': 80,
  'ws:': 80,
  'https:': 443,
  'wss:': 443,
};

/** The host and port of a provider, from whichever field names them. */
function addressOf(entry: Entry): Address {
  const fields = mapping(entry);
  const field = (name: string): string | undefined => text(fields[name]) ?? undefined;
  if (entry.type === 'gcp') {
    const where = {
      endpoint: field('endpoint'),
      region: field('region'),
      insecure: fields['insecure'] === true,
    };
    const { host, port, insecure, option } = placeOf(where);
    return { host, port, isSecure: !insecure, option };
  }
  if (entry.type === 'azure') return hubAddress(fields);
  const option = 'endpoint' in fields ? 'endpoint' : 'url';
  return { ...urlAddress(field(option) ?? ''), option };
}

/** MQTT over TLS on 8883, or over a WebSocket on 443; a certificate goes over TLS alone. */
function hubAddress(fields: Fields): Address {
  const credentials = mapping(fields['credentials']);
  const given = text(credentials['connection_string']);
  if (given === null) {
    const x509 = mapping(credentials['x509']);
    const hub = text(x509['gateway_host_name']) ?? text(x509['host_name']) ?? '';
    return { ...urlAddress(`mqtts://${hub}`), option: 'credentials.x509.host_name' };
  }
  const parts = connectionStringParts(given);
  const hub = parts.get('GatewayHostName') || parts.get('HostName') || '';
  const overWebSocket = urlAddress(`wss://${hub}`);
  const proxy = proxyFor(overWebSocket, text(fields['proxy']) ?? undefined);
  const isWebSocket = fields['websocket'] === true || proxy !== null;
  const address = isWebSocket ? overWebSocket : urlAddress(`mqtts://${hub}`);
  return { ...address, option: 'credentials.connection_string' };
}

function urlAddress(url: string): Omit<Address, 'option'> {
  const { protocol, hostname, port } = new URL(url);
  return {
    host: hostname.replace(/^\[(.*)\]$/, '$1'),
    port: Number(port) || (PORTS[protocol] ?? 443),
    isSecure: /^(https|mqtts|wss):$/.test(protocol),
  };
}

/** A certificate goes over TLS alone, whatever the environment's proxy is. */
function isDirectHub(fields: Fields): boolean {
  return text(mapping(fields['credentials'])['connection_string']) === null && 'credentials' in fields;
}
