import { join } from 'node:path';
import t from 'tap';
import { command, folderWith, headgate } from './run.ts';

const AGENT = `gateway: gw-1
data_dir: /tmp/x
broker: { allow_anonymous: true }
providers:
  - name: gcp
    type: gcp
    project: p
`;

t.test('config check tells a sound file by its kind', async (t) => {
  const dir = folderWith(t, {
    'agent.yaml': AGENT,
    'router.yaml': 'data_dir: /tmp/x\nsources: [{ name: gcp, type: gcp, project: p, subscription: s }]\n',
    'policy.yaml': "streams: { all: { topics: ['#'] } }\n",
  });
  for (const kind of ['agent', 'router', 'policy']) {
    const file = join(dir, `${kind}.yaml`);
    t.match(await command(['config', 'check', file]), {
      code: 0,
      stdout: `${file}: ok (${kind})\n`,
      stderr: '',
    });
    const asJson = await command(['config', 'check', file, '--json']);
    t.strictSame(JSON.parse(asJson.stdout), {
      ok: true,
      kind,
      problems: [],
      notes: [],
    });
  }
  t.match(await command(['config', 'check', join(dir, 'agent.yaml'), '--kind', 'router']), { code: 78 });
});

t.test('config check prints every mistake at once, with place and fix, and no secret', async (t) => {
  const dir = folderWith(t, {
    'agent.yaml': `gateway: GW
data_dir: /tmp/x
broker: { allow_anonymous: true, listeners: [{ type: tcp, host: 0.0.0.0, port: 1 }] }
providers:
  - name: gcp
    type: gcp
    project: p
    credentials: { client_email: a@b, private_ky: hunter2hunter2 }
  - name: gcp
    type: azure
    region: westeurope
    credentials: { connection_string: "\${HEADGATE_TEST_UNSET}" }
policy:
  streams:
    all: { topics: ['#'], preferred_providers: [gpc] }
`,
  });
  const file = join(dir, 'agent.yaml');
  const { code, stdout, stderr } = await headgate(['config', 'check', file]);
  t.equal(code, 78);
  t.equal(stdout, '');
  for (const expected of [
    /agent\.yaml: 7 mistakes/,
    /agent\.yaml:1:10 {2}gateway\n/,
    /agent\.yaml:3:65 {2}broker\.listeners\[0\]\.host\n {4}a listener without TLS must bind loopback; found "0\.0\.0\.0"/,
    /agent\.yaml:8:18 {2}providers\[0\]\.credentials\.private_key\n {4}missing/,
    /providers\[0\]\.credentials\.private_ky\n {4}unknown key\n {4}fix: did you mean "private_key"\?/,
    /agent\.yaml:9:11 {2}providers\[1\]\.name\n/,
    /providers\[1\]\.credentials\.connection_string\n {4}the environment variable HEADGATE_TEST_UNSET is not set/,
    /policy\.streams\.all\.preferred_providers\[0\]\n {4}no provider has this name; found "gpc"\n {4}fix: did you mean "gcp"\?/,
  ]) {
    t.match(stderr, expected);
  }
  t.notMatch(stderr, /hunter2/);

  const asJson = await command(['config', 'check', file, '--json']);
  t.equal(asJson.code, 78);
  t.match(JSON.parse(asJson.stdout), {
    ok: false,
    kind: 'agent',
    problems: [{ path: 'gateway', line: 1, column: 10 }],
  });
  t.notMatch(asJson.stdout, /hunter2/);
});

t.test('the mistakes of a policy file are told beside those of agent.yaml', async (t) => {
  const dir = folderWith(t, {
    'agent.yaml': `${AGENT}policy_file: policy.yaml\ntypo: 1\n`,
    'policy.yaml':
      "streams:\n  all: { topics: ['#'], data_residency: eu }\n  more: { topics: [a], redundency: 2 }\n",
  });
  const { code, stderr } = await command(['config', 'check', join(dir, 'agent.yaml')]);
  t.equal(code, 78);
  t.match(stderr, /\.yaml, .*\.yaml: 4 mistakes/);
  t.match(stderr, /agent\.yaml:\d+:1 {2}typo/);
  t.match(stderr, /policy\.yaml:2:41 {2}streams\.all\.data_residency\n {4}no provider in zone "eu"/);
  t.match(stderr, /policy\.yaml:3:24 {2}streams\.more\.redundency/);
  t.match(stderr, /policy\.yaml:3:9 {2}streams\.more\n {4}never gets a publish/);
});

t.test('config schema prints the JSON Schema of each kind', async (t) => {
  for (const kind of ['agent', 'router', 'policy']) {
    const { code, stdout } = await command(['config', 'schema', kind]);
    t.equal(code, 0);
    t.match(JSON.parse(stdout), { $schema: /draft-07/, type: 'object', additionalProperties: false });
  }
});
