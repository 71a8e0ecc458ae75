import { readdirSync, readFileSync } from 'node:fs';
import t from 'tap';
import { checkConfig } from '../../cli/check-config.ts';
import { emptyCells, type Since, withNewOptions, withOptionTables } from '../../cli/reference.ts';
import { schemaText } from '../../cli/schemas.ts';
import { formatProblems } from '../../shared/config/load.ts';
import { testDir } from '../test-dir.ts';

const docs = new URL('../../docs/', import.meta.url);
const read = (path: string): string => readFileSync(new URL(path, docs), 'utf8');

const KINDS = ['agent', 'router', 'policy'] as const;
const PAGES = { agent: 'agent-yaml', router: 'router-yaml', policy: 'policy' } as const;
const since: Since = JSON.parse(read('schema/since.json'));

t.test('docs/schema and the tables of the options are those of the schemas (npm run schema)', async (t) => {
  for (const kind of KINDS) {
    t.ok(read(`schema/${kind}.schema.json`) === schemaText(kind), `${kind}.schema.json is up to date`);
    const page = read(`reference/${PAGES[kind]}.md`);
    t.ok(page === withOptionTables(page, kind, since), `${PAGES[kind]}.md is up to date`);
  }
});

t.test('each option has type, default, description and version, and each number its unit', async (t) => {
  t.strictSame(since, withNewOptions(since), 'docs/schema/since.json has every option and no other');
  for (const kind of KINDS) t.strictSame(emptyCells(kind, since), [], kind);
  const versions = new Set(KINDS.flatMap((kind) => Object.values(since.options[kind])));
  const changelog = readFileSync(new URL('../CHANGELOG.md', docs), 'utf8');
  for (const version of versions)
    t.ok(
      changelog.includes(`## [${version}]`) || changelog.includes(`Will be ${version}.`),
      `${version} is in the changelog`,
    );
});

t.test('a row says type, unit, default and version', async (t) => {
  const page = withOptionTables('<!-- options -->\n<!-- end -->', 'agent', since);
  t.match(page, '| `admin.port` | integer 0–65535 | TCP port | `9464` | 0.1.0 | 0 takes a free port. |');
  t.match(page, '| `broker.connect_timeout` | duration | ms, s, m, h, d | `5s` | 0.1.0 |');
  t.match(page, '## providers[] of type azure');
});

t.test('a new option comes with the next version, and one that is gone is forgotten', async (t) => {
  const { gateway: _, ...rest } = since.options.agent;
  const before = { ...since, options: { ...since.options, agent: { ...rest, gone: '0.1.0' } } };
  const after = withNewOptions(before).options.agent;
  t.equal(after['gateway'], since.next);
  t.notOk('gone' in after);
});

t.test('a default is written as one would write it', async (t) => {
  const { properties } = JSON.parse(schemaText('agent'));
  t.equal(properties.buffer.properties.max_bytes.default, '2GiB');
  t.equal(properties.broker.properties.connect_timeout.default, '5s');
});

t.test('every example is sound, and names its schema for editors', async (t) => {
  Object.assign(process.env, {
    AWS_ACCESS_KEY_ID: 'AKIAEXAMPLE',
    AZURE_IOT_CONNECTION_STRING: 'HostName=h.azure-devices.net;DeviceId=gw-1;SharedAccessKey=a2V5',
    AZURE_EVENT_HUBS_CONNECTION_STRING:
      'Endpoint=sb://x.servicebus.windows.net/;SharedAccessKeyName=router;SharedAccessKey=a2V5;EntityPath=hub',
    MQTT_PASSWORD: 'example-password',
  });
  const dir = testDir(t, { aws: 'example-secret-key\n', webhook: `whsec_${'a2V5'.repeat(8)}\n` });
  process.env['CREDENTIALS_DIRECTORY'] = dir;
  const names = readdirSync(new URL('examples/', docs)).filter((name) => name.endsWith('.yaml'));
  t.ok(names.length >= 8);
  for (const name of names) {
    const kind = name.startsWith('agent.') ? 'agent' : name.startsWith('router.') ? 'router' : 'policy';
    const { problems } = checkConfig(new URL(`examples/${name}`, docs).pathname, { kind, secrets: false });
    t.equal(problems.length === 0 ? '' : formatProblems(problems), '', name);
    t.match(read(`examples/${name}`), `# yaml-language-server: $schema=../schema/${kind}.schema.json\n`);
  }
});
