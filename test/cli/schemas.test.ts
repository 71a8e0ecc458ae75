import { readdirSync, readFileSync } from 'node:fs';
import t from 'tap';
import { checkConfig } from '../../cli/check-config.ts';
import { schemaText, withFieldTables } from '../../cli/schemas.ts';
import { formatProblems } from '../../shared/config/load.ts';
import { testDir } from '../test-dir.ts';

const docs = new URL('../../docs/', import.meta.url);
const read = (path: string): string => readFileSync(new URL(path, docs), 'utf8');

t.test(
  'docs/schema and the tables of docs/reference/configuration.md are those of the schemas (npm run schema)',
  async (t) => {
    for (const kind of ['agent', 'router', 'policy'] as const) {
      t.ok(read(`schema/${kind}.schema.json`) === schemaText(kind), `${kind}.schema.json is up to date`);
    }
    const page = read('reference/configuration.md');
    t.ok(page === withFieldTables(page), 'configuration.md is up to date');
  },
);

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
    const { problems } = checkConfig(new URL(`examples/${name}`, docs).pathname, kind);
    t.equal(problems.length === 0 ? '' : formatProblems(problems), '', name);
    t.match(read(`examples/${name}`), `# yaml-language-server: $schema=../schema/${kind}.schema.json\n`);
  }
});
