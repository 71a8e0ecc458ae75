/** An agent.yaml that is valid, and does not do what it says. */
import { regionHint } from '../../shared/policy/known-names.ts';
import { type Entry, entries, type Finding, mapping, text, texts } from './finding.ts';
import { type Listener, portFindings } from './ports.ts';

/** `policy`: the one in force, wherever it is written. `held`: the certifications of each provider. */
export function agentFindings(
  config: unknown,
  policy: unknown,
  held: ReadonlyMap<string, readonly string[]> | null,
): Finding[] {
  const agent = mapping(config);
  return [
    ...portFindings(listeners(agent)),
    ...entries(agent['providers']).flatMap(([index, provider]) =>
      providerFindings(provider, policy).map((finding) => ({
        ...finding,
        path: ['providers', index, ...finding.path],
      })),
    ),
    ...(held === null ? [] : uncertified(policy, held)),
  ];
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

function providerFindings(provider: Entry, policy: unknown): Finding[] {
  const [type, region] = [text(provider['type']), text(provider['region'])];
  if (type === null || region === null) return [];
  const zones = mapping(mapping(mapping(policy)['compliance'])['data_residency']);
  const hint = regionHint(type, region, Object.values(zones).flatMap(texts));
  const unknown: Finding[] =
    hint === null ? [] : [{ path: ['region'], message: `no region of ${type} that is known`, hint }];
  return [...unknown, ...elsewhere(type, region, text(provider['endpoint']))];
}

/** Vendors' endpoints name their region. */
const REGION_IN_ENDPOINT: Readonly<Record<string, RegExp>> = {
  aws: /\.iot(?:-fips)?\.([a-z0-9-]+)\.amazonaws\.com/,
  gcp: /^([a-z]+-[a-z]+\d+)-pubsub\.googleapis\.com/,
};

/** Residency goes by `region`: an endpoint elsewhere would take records out of their zone (I4). */
function elsewhere(type: string, region: string, endpoint: string | null): Finding[] {
  const named = REGION_IN_ENDPOINT[type]?.exec(endpoint ?? '')?.[1];
  if (named === undefined || named === region) return [];
  const message = `the endpoint is in ${named}, the region is ${region}: data_residency would be broken`;
  return [{ path: ['endpoint'], message, hint: `use the endpoint of ${region}, or region: ${named}` }];
}

/** Certifications that the policy asks for and no provider has: nothing would ever leave. */
function uncertified(policy: unknown, held: ReadonlyMap<string, readonly string[]>): Finding[] {
  const required = texts(mapping(mapping(policy)['compliance'])['required_certifications']);
  return required.flatMap((name, index): Finding[] => {
    if ([...held.values()].some((own) => own.includes(name))) return [];
    return [
      {
        path: ['policy', 'compliance', 'required_certifications', index],
        message: 'no provider has it by its price sheet: the records could never leave the buffer',
        hint: 'name it under certifications in the price_sheet of a provider that has it',
      },
    ];
  });
}
