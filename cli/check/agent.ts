/** Finds settings of a valid agent.yaml that cannot work as written. */
import { readFileSync } from 'node:fs';
import type { AgentConfig } from '../../agent/config/config.ts';
import { envelopeLimits, packetBytesMax, streamLimits } from '../../agent/config/envelope-limits.ts';
import { providerFacts } from '../../agent/config/provider-facts.ts';
import { tariffNamed } from '../../agent/cost/tariffs.ts';
import { certificateNames, foreignNames } from '../../agent/providers/identity-check.ts';
import { type CheckSite, type ProviderType, typeOf } from '../../agent/providers/provider-type.ts';
import { PROVIDER_TYPES } from '../../agent/providers/types.ts';
import { regionHint } from '../../shared/policy/known-names.ts';
import { type Entry, entries, type Finding, mapping, text, texts } from './finding.ts';
import { ocspFindings } from './ocsp.ts';
import { type Listener, portFindings } from './ports.ts';

interface AgentFile {
  /** The file with resolved references. */
  value: unknown;
  /** The policy in force, from any file. */
  policy: unknown;
  /** The parsed configuration; null when the schema finds errors. */
  config: AgentConfig | null;
  /** Whether the named files should exist on this machine. */
  secrets: boolean;
}

export function agentFindings({ value, policy, config, secrets }: AgentFile): Finding[] {
  const agent = mapping(value);
  const site = siteOf(agent, secrets);
  return [
    ...portFindings(listeners(agent)),
    ...(secrets ? listenersOcsp(agent) : []),
    ...inEach('providers', agent, (provider) => providerFindings(provider, policy, site)),
    ...inEach('downlinks', agent, (downlink) => downlinkFindings(downlink, site)),
    ...(config === null ? [] : [...uncertified(policy, held(config)), ...largePackets(agent, config)]),
  ];
}

function listenersOcsp(agent: Entry): Finding[] {
  return inEach('listeners', mapping(agent['broker']), ocspFindings).map((finding) => ({
    ...finding,
    path: ['broker', ...finding.path],
  }));
}

/** Null when the gateway's name is unknown. */
function siteOf(agent: Entry, secrets: boolean): CheckSite | null {
  const gateway = text(agent['gateway']);
  return gateway === null ? null : { gateway, read: (file) => (secrets ? readable(file) : null) };
}

/** Null for an unreadable file; the check of files reports it. */
function readable(file: string): string | null {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return null;
  }
}

function inEach(key: string, agent: Entry, findings: (entry: Entry) => Finding[]): Finding[] {
  return entries(agent[key]).flatMap(([index, entry]) =>
    findings(entry).map((finding) => ({ ...finding, path: [key, index, ...finding.path] })),
  );
}

function listeners(agent: Entry): Listener[] {
  const listening = mapping(agent['broker'])['listeners'] ?? [{ port: 1883 }];
  const admin = mapping(agent['admin']);
  return [
    ...entries(listening).map(([index, { host, port }]) => ({
      path: ['broker', 'listeners', index],
      host: text(host) ?? '127.0.0.1',
      port,
    })),
    { path: ['admin', 'port'], host: text(admin['host']) ?? '127.0.0.1', port: admin['port'] ?? 9464 },
  ];
}

function providerFindings(entry: Entry, policy: unknown, site: CheckSite | null): Finding[] {
  const known = PROVIDER_TYPES.find(({ type }) => type === entry['type']);
  if (known === undefined) return [];
  const type: ProviderType = typeOf(PROVIDER_TYPES, known);
  const parsed = type.entry.safeParse(entry);
  const own = parsed.success && site !== null ? (type.check?.(parsed.data, site) ?? []) : [];
  return [...unknownRegion(type, text(entry['region']), policy), ...own];
}

function unknownRegion({ type, regions }: ProviderType, region: string | null, policy: unknown): Finding[] {
  if (regions === undefined || region === null) return [];
  const { own_regions, data_residency } = mapping(mapping(policy)['compliance']);
  // A zone's own regions are checked where it stands.
  const own = [...texts(own_regions), ...Object.values(mapping(data_residency)).flatMap(texts)];
  const hint = regionHint(region, regions, own);
  return hint === null ? [] : [{ path: ['region'], message: `not a known region of ${type}`, hint }];
}

/** Regions of the providers whose type has no known regions: the operator names them. */
export function operatorsRegions(config: unknown): string[] {
  const types: readonly ProviderType[] = PROVIDER_TYPES;
  return entries(mapping(config)['providers']).flatMap(([, { type, region }]) => {
    const isOwn = types.some((known) => known.type === type && known.regions === undefined);
    return isOwn && typeof region === 'string' ? [region] : [];
  });
}

/** A long poll with another gateway's certificate would get the receipts of that gateway. */
function downlinkFindings(entry: Entry, site: CheckSite | null): Finding[] {
  if (entry['type'] !== 'https' || site === null) return [];
  const file = text(entry['cert_file']) ?? undefined;
  return foreignNames(certificateNames(file, ['cert_file'], site), undefined, site.gateway).map((issue) => ({
    ...issue,
    hint: 'use a certificate with the gateway’s name: receipts are answered to the name in it',
  }));
}

function held({ tariffs }: AgentConfig): string[] {
  return [...tariffs.values()].flatMap(({ sheet }) => sheet.certifications.map(({ name }) => name));
}

/** Required certifications that no provider has: no record would ever leave the buffer. */
function uncertified(policy: unknown, known: readonly string[]): Finding[] {
  const required = texts(mapping(mapping(policy)['compliance'])['required_certifications']);
  return required.flatMap((name, index): Finding[] => {
    if (known.includes(name)) return [];
    return [
      {
        path: ['policy', 'compliance', 'required_certifications', index],
        message: 'no provider has it by its price sheet: the records could never leave the buffer',
        hint: 'name it under certifications in the price_sheet of a provider that has it',
      },
    ];
  });
}

/** By default a packet is as large as a message of several providers, an envelope included. */
const ROUND_BYTES = 4096;

/** Packets that the broker reads and then refuses, because they exceed every provider's envelope limit. */
function largePackets(agent: Entry, config: AgentConfig): Finding[] {
  const enabled = config.providers.filter((provider) => provider.enabled);
  const facts = enabled.map((provider) => providerFacts(provider, tariffNamed(config, provider.name)));
  const limits = streamLimits(config.policy, facts, envelopeLimits(config));
  const { max_packet_bytes: packet } = config.broker;
  const [stream, most] = [...limits].reduce((a, b) => (b[1] < a[1] ? b : a), ['', Number.POSITIVE_INFINITY]);
  const fitting = packetBytesMax(most);
  if (packet <= fitting) return [];
  const isWritten = mapping(agent['broker'])['max_packet_bytes'] !== undefined;
  if (!isWritten && packet - fitting <= ROUND_BYTES) return [];
  const message = `publishes of the stream "${stream}" above ${fitting} bytes are refused (record-too-large): its providers take envelopes of ${most} bytes, and ${isWritten ? '' : 'by default '}packets may have ${packet}`;
  const hint = `write max_packet_bytes: ${fitting}B, or add a provider that takes more`;
  return [{ path: ['broker', 'max_packet_bytes'], message, hint, ...(!isWritten && { isNote: true }) }];
}
