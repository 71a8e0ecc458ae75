/**
 * `config check --connect`: tries each enabled provider like the agent, one phase after the other, and
 * reports the phases that passed. The last phase publishes a heartbeat: an envelope without records, of an
 * epoch that no gateway uses. IoT Hub allows one connection per device: the connection of a running agent is
 * cut, and the agent reconnects.
 */
import { lookup } from 'node:dns/promises';
import { connect } from 'node:net';
import type { AgentConfig } from '../../agent/config/config.ts';
import { heartbeat } from '../../agent/forward/heartbeat.ts';
import { openPublisher } from '../../agent/providers/open.ts';
import { typeOf } from '../../agent/providers/provider-type.ts';
import type { Outcome } from '../../agent/providers/publisher.ts';
import { PROVIDER_TYPES } from '../../agent/providers/types.ts';
import { type Clock, systemClock } from '../../shared/clock.ts';
import { createLogger } from '../../shared/log.ts';
import { within } from '../../shared/within.ts';
import { mapping, text } from './finding.ts';

const PHASE_MS = 10_000;
/** Hosts of providers without an address in the configuration. */
const DEFAULT_HOSTS: Readonly<Record<string, string>> = { gcp: 'https://pubsub.googleapis.com' };
const PORTS: Readonly<Record<string, number>> = { 'mqtt:': 1883, 'mqtts:': 8883, 'http:': 80, 'ws:': 80 };

type Phase = 'resolve' | 'connect' | 'publish';

interface Connected {
  provider: string;
  /** The phases that passed, in order. */
  passed: Phase[];
  /** Null when all of them passed. */
  problem: string | null;
}

/** One provider after the other, so that they do not share a slow uplink. */
export async function connectAll(config: AgentConfig): Promise<Connected[]> {
  const results: Connected[] = [];
  for (const provider of config.providers.filter(({ enabled }) => enabled))
    results.push(await connectOne(provider, config.gateway, systemClock));
  return results;
}

type Entry = AgentConfig['providers'][number];

async function connectOne(entry: Entry, gateway: string, clock: Clock): Promise<Connected> {
  const passed: Phase[] = [];
  const { host, port } = addressOf(entry);
  const phases: Array<[Phase, () => Promise<string | null>]> = [
    ['resolve', () => lookup(host).then(() => null)],
    ['connect', () => reach(host, port)],
    ['publish', () => publish(entry, gateway, clock)],
  ];
  for (const [phase, run] of phases) {
    const problem = await within(
      clock,
      PHASE_MS + 1000,
      run(),
      () => `no answer in ${PHASE_MS / 1000} s`,
    ).catch((error: unknown) => (error instanceof Error ? error.message : String(error)));
    if (problem !== null) return { provider: entry.name, passed, problem: `${phase}: ${problem}` };
    passed.push(phase);
  }
  return { provider: entry.name, passed, problem: null };
}

function reach(host: string, port: number): Promise<string | null> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: PHASE_MS });
    const end = (problem: string | null): void => {
      socket.destroy();
      resolve(problem);
    };
    socket.once('connect', () => end(null));
    socket.once('timeout', () => end(`no answer from ${host}:${port}`));
    socket.once('error', (error) => end(`${host}:${port}: ${error.message}`));
  });
}

async function publish(entry: Entry, gateway: string, clock: Clock): Promise<string | null> {
  const log = createLogger({ level: 'silent', levels: {} });
  const publisher = await openPublisher(typeOf(PROVIDER_TYPES, entry), entry, { clock, log });
  try {
    const message = heartbeat(gateway, '', {
      bootId: 'config-check',
      offsetMs: 0,
      quality: 'unsynchronised',
    });
    const attempt = { endsAtMs: clock.monoMs() + PHASE_MS, signal: new AbortController().signal };
    return problemOf(await publisher.publish(message, attempt));
  } finally {
    await publisher.close();
  }
}

function problemOf(outcome: Outcome): string | null {
  if (outcome.kind === 'accepted') return null;
  const cause = 'cause' in outcome ? ` (${outcome.cause})` : '';
  return `${outcome.kind}${cause}: ${outcome.detail}`;
}

/** The host and port of a provider, from whichever field names them. */
function addressOf(entry: Entry): { host: string; port: number } {
  const fields = mapping(entry);
  const credentials = mapping(fields['credentials']);
  const parts = Object.fromEntries(
    (text(credentials['connection_string']) ?? '').split(';').map((part) => part.split(/=(.*)/s)),
  );
  const x509 = mapping(credentials['x509']);
  const hub = parts['GatewayHostName'] ?? parts['HostName'] ?? x509['gateway_host_name'] ?? x509['host_name'];
  const named =
    text(fields['endpoint']) ??
    text(fields['url']) ??
    (typeof hub === 'string' ? `mqtts://${hub}` : (DEFAULT_HOSTS[entry.type] ?? ''));
  const url = new URL(named.includes('://') ? named : `https://${named}`);
  return { host: url.hostname, port: Number(url.port) || (PORTS[url.protocol] ?? 443) };
}
