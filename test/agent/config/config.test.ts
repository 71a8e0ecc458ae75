// biome-ignore-all lint/suspicious/noTemplateCurlyInString: ${…} is the syntax of the file.
import t from 'tap';
import { type AgentConfig, loadAgentConfig } from '../../../agent/config/config.ts';
import type { ConfigProblem } from '../../../shared/config/load.ts';
import { policySchema } from '../../../shared/policy/policy.ts';

const PROVIDERS = `
  - { name: aws, type: aws, region: eu-west-1, endpoint: "https://a-ats.iot.eu-west-1.amazonaws.com" }
  - { name: gcp, type: gcp, region: us-central1, project: p }
`;

interface Sections {
  gateway?: string;
  broker?: string;
  providers?: string;
  rest?: string;
}

function yaml({
  gateway = 'gw-1',
  broker = '{ allow_anonymous: true }',
  providers = PROVIDERS,
  rest = '',
}: Sections) {
  return `gateway: ${gateway}\ndata_dir: /d\nbroker: ${broker}\nproviders: ${providers}\n${rest}\n`;
}

function load(sections: Sections, files: Record<string, string> = {}) {
  const all: Record<string, string> = { '/etc/h/agent.yaml': yaml(sections), ...files };
  return loadAgentConfig('/etc/h/agent.yaml', {
    env: { KEY: 'secret-key' },
    readFile(file) {
      const text = all[file];
      if (text === undefined) throw Object.assign(new Error(file), { code: 'ENOENT' });
      return text;
    },
  });
}

function sound(sections: Sections, files: Record<string, string> = {}): AgentConfig {
  const result = load(sections, files);
  if (!result.ok) throw new Error(JSON.stringify(result.problems, null, 2));
  return result.config;
}

function problems(sections: Sections, files: Record<string, string> = {}): ConfigProblem[] {
  const result = load(sections, files);
  return result.ok ? [] : result.problems;
}

function paths(found: readonly ConfigProblem[]): string[] {
  return found.map(({ path }) => path);
}

t.test('the defaults', async (t) => {
  const config = sound({});
  t.match(config, {
    gateway: 'gw-1',
    log: { level: 'info', levels: {} },
    admin: { host: '127.0.0.1', port: 9464 },
    broker: {
      listeners: [{ type: 'tcp', host: '127.0.0.1', port: 1883 }],
      max_packet_bytes: 262_144,
      connect_timeout: 5000,
      max_connections: 1000,
    },
    buffer: { max_bytes: 2 ** 31 },
    providers: [
      { name: 'aws', enabled: true, priority: 100 },
      { name: 'gcp', enabled: true, priority: 100 },
    ],
  });
  t.strictSame(config.policy, policySchema.parse({}), 'without a policy, the default one');
});

t.test('references reach the credentials of a provider', async (t) => {
  const providers =
    '[{ name: a, type: azure, region: westeurope, credentials: { connection_string: "HostName=h;DeviceId=d;SharedAccessKey=${KEY}" } }]';
  t.match(sound({ providers }).providers, [
    { credentials: { connection_string: 'HostName=h;DeviceId=d;SharedAccessKey=secret-key' } },
  ]);
});

t.test('without TLS, a listener is only for this machine or for a network that is trusted', async (t) => {
  t.equal(
    sound({ broker: '{}' }).broker.allow_anonymous,
    false,
    'everybody logs in unless the file says otherwise',
  );
  for (const anonymous of [true, false]) {
    const listener = (fields: string) =>
      `{ allow_anonymous: ${anonymous}, listeners: [{ port: 1883, ${fields} }] }`;
    for (const host of ['127.0.0.1', '127.8.8.8', '"::1"', 'localhost']) {
      t.strictSame(problems({ broker: listener(`host: ${host}`) }), [], host);
    }
    for (const host of ['0.0.0.0', '"::"', '192.168.1.4', 'gateway.local', '127.0.0.1.example.com']) {
      const [problem] = problems({ broker: listener(`host: ${host}`) });
      t.match(
        problem,
        { path: 'broker.listeners[0].host', message: 'a listener without TLS must bind loopback' },
        host,
      );
    }
    t.strictSame(problems({ broker: listener('host: 0.0.0.0, trusted_network: true') }), []);
  }
});

t.test('a TLS listener has its files, and others have none', async (t) => {
  const listener = (fields: string) => `{ listeners: [{ port: 8883, host: 0.0.0.0, ${fields} }] }`;
  const at = 'broker.listeners[0]';
  const files = 'type: tls, cert_file: /c, key_file: /k';
  t.strictSame(problems({ broker: listener(files) }), []);
  t.strictSame(problems({ broker: listener(`${files}, client_ca_file: /ca, auth: either`) }), []);
  t.strictSame(paths(problems({ broker: listener('type: tls') })), [`${at}.cert_file`, `${at}.key_file`]);
  t.match(problems({ broker: listener(`${files}, auth: certificate`) }), [
    { path: `${at}.client_ca_file`, hint: /auth: certificate needs/ },
  ]);
  t.strictSame(paths(problems({ broker: '{ listeners: [{ port: 1, cert_file: /c, auth: either }] }' })), [
    `${at}.cert_file`,
    `${at}.auth`,
  ]);
  const authorities = `${files}, client_ca_file: /ca`;
  t.strictSame(problems({ broker: listener(`${authorities}, auth: both, device_name: san_uri`) }), []);
  t.match(problems({ broker: listener(`${files}, auth: both`) }), [{ path: `${at}.client_ca_file` }]);
  t.match(problems({ broker: listener(`${authorities}, device_name: san_dns`) }), [
    { path: `${at}.device_name`, hint: /certificate, either or both/ },
  ]);
});

t.test('provider names are unique', async (t) => {
  const providers =
    '[{ name: a, type: gcp, project: p }, { name: b, type: gcp, project: p }, { name: a, type: gcp, project: q }]';
  t.match(problems({ providers }), [
    { path: 'providers[2].name', message: /entry 0 has it too/, found: '"a"' },
  ]);
});

t.test('own prices take the place of those that ship, figure by figure', async (t) => {
  const provider = (fields: string) =>
    `[{ name: a, type: aws, region: eu-west-1, endpoint: "https://a-ats.iot.eu-west-1.amazonaws.com", ${fields} }]`;
  const figure = (value: string) =>
    `{ value: ${value}, unit: USD per million, source: contract, date: 2026-11-01, confidence: high }`;
  const sheet = (text: string) => ({ '/etc/h/prices/aws.yaml': text });
  const named = { providers: provider('price_sheet: prices/aws.yaml') };
  const own = sheet(`type: aws\ndated: 2026-11-01\nrule_action_usd_per_million: ${figure('0.1')}\n`);
  t.match(sound(named, own).tariffs.get('a'), {
    type: 'aws',
    share: 1,
    basicIngest: false,
    sheet: {
      dated: '2026-11-01',
      rule_action_usd_per_million: { value: 0.1, source: 'contract' },
      rule_trigger_usd_per_million: { value: 0.15 },
    },
  });
  const prefix = 'topic_prefix: "$aws/rules/headgate/headgate", account_share: 0.01';
  t.match(sound({ providers: provider(prefix) }).tariffs.get('a'), { basicIngest: true, share: 0.01 });
  const wrong = sheet(
    `type: aws\ndated: 2026-11-01\nrule_action_usd_per_million: ${figure('-1')}\nsqs_price: 1\n`,
  );
  t.match(problems(named, wrong), [
    { file: '/etc/h/prices/aws.yaml', line: 3, path: 'rule_action_usd_per_million.value', found: '-1' },
    { file: '/etc/h/prices/aws.yaml', line: 4, path: 'sqs_price', message: 'unknown key' },
  ]);
  t.match(problems(named, sheet('type: gcp\ndated: 2026-11-01\n')), [
    { path: 'type', message: 'expected aws' },
  ]);
  t.match(problems(named), [{ file: '/etc/h/prices/aws.yaml', message: 'cannot be read (ENOENT)' }]);
  const azure = (fields: string) =>
    `[{ name: h, type: azure, region: westeurope, credentials: { connection_string: "HostName=h;DeviceId=d;SharedAccessKey=k" }, ${fields} }]`;
  t.match(sound({ providers: azure('hub_tier: S2, hub_units: 3') }).tariffs.get('h'), {
    tier: 'S2',
    hubUnits: 3,
  });
  t.match(problems({ providers: azure('hub_tier: S4') }), [{ path: 'providers[0].hub_tier' }]);
});

t.test('a policy that these providers cannot keep is a mistake, not a buffer that fills', async (t) => {
  const policy = (stream: string) => ({
    rest: `policy: { streams: { s: { topics: ['#'], ${stream} } } }`,
  });
  const at = 'policy.streams.s';
  t.match(problems(policy('preferred_providers: [gcp, awz]')), [
    { path: `${at}.preferred_providers[1]`, hint: 'did you mean "aws"?' },
  ]);
  t.match(problems(policy('data_residency: asia')), [
    { path: `${at}.data_residency`, message: /^no provider in zone "asia" for 1 copy/ },
  ]);
  t.match(problems(policy('data_residency: eu, redundancy: 2')), [
    { path: `${at}.data_residency`, message: /^only 1 of 2 providers in zone "eu" for 2 copies/ },
  ]);
  t.match(problems(policy('redundancy: 3')), [{ path: `${at}.redundancy`, hint: /at most 2 copies/ }]);
  t.match(problems(policy('data_residency: mars')), [
    { path: `${at}.data_residency`, message: /not defined/ },
  ]);
  t.strictSame(problems(policy('data_residency: eu, redundancy: 1, preferred_providers: [aws]')), []);
  t.match(problems(policy('mode: split, shares: { aws: 3, gpc: 1 }')), [
    { path: `${at}.shares.gpc`, message: 'no provider has this name' },
  ]);
  t.strictSame(problems(policy('mode: split, shares: { aws: 3 }')), []);
});

t.test('mode, redundancy and shares must not contradict each other', async (t) => {
  const policy = (stream: string) => ({
    rest: `policy: { streams: { s: { topics: ['#'], ${stream} } } }`,
  });
  const at = 'policy.streams.s';
  t.match(problems(policy('mode: split, redundancy: 2')), [
    { path: `${at}.redundancy`, message: /^mode "split" sends each record to one provider/ },
  ]);
  t.match(problems(policy('mode: failover, redundancy: 2')), [{ path: `${at}.redundancy` }]);
  t.match(problems(policy('mode: redundant')), [{ path: `${at}.redundancy`, message: /needs at least 2/ }]);
  t.match(problems(policy('shares: { aws: 1 }')), [{ path: `${at}.shares`, message: /mode "split"/ }]);
  t.match(problems(policy('mode: split, shares: { aws: 0 }')), [{ path: `${at}.shares.aws` }]);
  t.strictSame(problems(policy('mode: redundant, redundancy: 2')), []);
  t.strictSame(problems(policy('mode: failover')), []);
});

t.test('switching a provider off is never a mistake', async (t) => {
  const providers = PROVIDERS.replaceAll(' }', ', enabled: false }');
  t.strictSame(
    problems({ providers, rest: "policy: { streams: { s: { topics: ['#'], data_residency: eu } } }" }),
    [],
  );
});

t.test('a policy in a file of its own', async (t) => {
  const files = {
    '/etc/h/p.yaml': "version: 7\nstreams:\n  s: { topics: ['#'], preferred_providers: [gcp] }\n",
  };
  t.equal(sound({ rest: 'policy_file: p.yaml' }, files).policy.version, 7);
  t.equal(sound({ rest: 'policy_file: /etc/h/p.yaml' }, files).policy.version, 7);
  t.match(problems({ rest: 'policy_file: none.yaml' }), [
    { file: '/etc/h/none.yaml', message: /cannot be read/ },
  ]);
  t.strictSame(paths(problems({ rest: 'policy_file: p.yaml\npolicy: {}' }, files)), ['policy_file']);
  const wrong = { '/etc/h/p.yaml': "streams:\n  s:\n    topics: ['#']\n    preferred_providers: [gpc]\n" };
  t.match(problems({ gateway: 'GW', rest: 'policy_file: p.yaml' }, wrong), [
    { file: '/etc/h/agent.yaml', path: 'gateway' },
    { file: '/etc/h/p.yaml', path: 'streams.s.preferred_providers[0]', line: 4, column: 27 },
  ]);
});

t.test('checks across sections run beside mistakes elsewhere', async (t) => {
  const found = problems({
    gateway: 'GW',
    providers: '[{ name: a, type: gcp }, { name: a, type: azure, region: westeurope }]',
    rest: "policy: { streams: { s: { topics: ['#'], preferred_providers: [b] } } }\nadmin: { port: x }",
  });
  const expected = [
    'admin.port',
    'gateway',
    'policy.streams.s.preferred_providers[0]',
    'providers[0].project',
    'providers[1].credentials',
    'providers[1].name',
  ];
  t.strictSame(new Set(paths(found)), new Set(expected));
});

t.test('bounds', async (t) => {
  t.strictSame(paths(problems({ rest: 'buffer: { max_bytes: 1000KB }' })), ['buffer.max_bytes']);
  t.strictSame(paths(problems({ providers: '[]' })), ['providers']);
  t.strictSame(paths(problems({ broker: '{ allow_anonymous: true, listeners: [] }' })), ['broker.listeners']);
});

t.test('a downlink through a twin needs a provider that has one', async (t) => {
  const azure = (name: string, more = ''): string =>
    `{ name: ${name}, type: azure, region: r, credentials: { connection_string: "HostName=h;DeviceId=d;SharedAccessKey=aw==" }${more} }`;
  const providers = `[${azure('eu')}, ${azure('off', ', enabled: false')}, ${azure('basic', ', hub_tier: B2')}, { name: plant, type: mqtt, url: "mqtts://b" }]`;
  const found = (...names: string[]) => {
    const downlinks = names.map((provider, i) => `{ type: azure, name: d${i}, provider: ${provider} }`);
    return problems({ providers, rest: `downlinks: [${downlinks.join(', ')}]` });
  };
  t.same(found('eu', 'off'), [], 'a provider that is switched off is no mistake');
  const several = found('eu', 'eu', 'nobody');
  t.same(
    several.map(({ path, message }) => [path, message]),
    [
      ['downlinks[1].provider', 'another downlink reads this twin'],
      ['downlinks[2].provider', 'there is no such provider'],
    ],
  );
  t.match(found('basic'), [{ message: 'a hub of the basic tier has no twins' }]);
  t.match(found('plant'), [{ message: 'a provider of type mqtt has no twin' }]);
});

t.test('a stream that waits for receipts needs a downlink, also in a policy file', async (t) => {
  const policy = "{ streams: { telemetry: { topics: ['#'], until: receipt } } }";
  const downlinks = '[{ type: https, name: router, url: "https://r:8443", token_key_file: /k }]';
  t.same(paths(problems({ rest: `policy: ${policy}` })), ['policy.streams.telemetry.until']);
  t.same(problems({ rest: `policy: ${policy}\ndownlinks: ${downlinks}` }), []);
  const files = { '/etc/h/policy.yaml': policy };
  t.same(paths(problems({ rest: 'policy_file: policy.yaml' }, files)), ['streams.telemetry.until']);
  t.same(problems({ rest: `policy_file: policy.yaml\ndownlinks: ${downlinks}` }, files), []);
  const twice =
    '[{ type: https, name: r, url: "http://r", token_key_file: /k }, { type: https, name: r, url: "https://r" }]';
  t.same(paths(problems({ rest: `downlinks: ${twice}` })), [
    'downlinks[0].url',
    'downlinks[1].token_key_file',
    'downlinks[1].name',
  ]);
});
