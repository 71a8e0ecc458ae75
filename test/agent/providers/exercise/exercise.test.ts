/**
 * A sixth type of provider is one folder (file/) and one line in a table of types (types.ts); and
 * docs/how-to/adding-a-provider.md is this exercise, written down.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { connectAsync } from 'mqtt';
import t, { type Test } from 'tap';
import { loadAgentConfig } from '../../../../agent/config/config.ts';
import { providerFacts } from '../../../../agent/config/provider-facts.ts';
import { tariffNamed } from '../../../../agent/cost/tariffs.ts';
import { CredentialPublisher } from '../../../../agent/providers/credentials/rotating-publisher.ts';
import type { ProviderTypes } from '../../../../agent/providers/provider-type.ts';
import { PROVIDER_TYPES } from '../../../../agent/providers/types.ts';
import { systemClock } from '../../../../shared/clock.ts';
import { systemSources } from '../../../../shared/config/load.ts';
import { decodeEnvelope } from '../../../../shared/envelope/codec.ts';
import { createLogger } from '../../../../shared/log.ts';
import { billedUnits, unitOf } from '../../../../shared/pricing/metering.ts';
import { attempt } from '../../../attempt.ts';
import { freePort } from '../../../servers/free-port.ts';
import { testDir } from '../../../test-dir.ts';
import { until } from '../../../until.ts';
import { envelope } from '../credentials/support.ts';
import { TYPES } from './types.ts';

const PAGE = 'docs/how-to/adding-a-provider.md';
const LONG_MS = 60_000;

t.setTimeout(300_000);

function agentYaml(t: Test, options: string, ports = { admin: 0, broker: 0 }): { dir: string; file: string } {
  const dir = testDir(t, { 'a.key': 'first', 'b.key': 'second' });
  const file = join(dir, 'agent.yaml');
  writeFileSync(
    file,
    `gateway: gw-1
data_dir: ${dir}
admin: { port: ${ports.admin} }
broker: { listeners: [{ type: tcp, port: ${ports.broker} }], allow_anonymous: true }
providers: [{ name: disk, type: file, ${options.replaceAll('DIR', dir)} }]
policy: { streams: { all: { topics: ['#'], linger: 10ms } } }
`,
  );
  return { dir, file };
}

t.test('the schema, the facts and the tariff follow from the table', async (t) => {
  const { file } = agentYaml(t, 'path: DIR/out, key_file: DIR/a.key, region: shed');
  const unknown = loadAgentConfig(file);
  t.notOk(unknown.ok, 'not in the table of this program');
  const loaded = loadAgentConfig(file, systemSources, TYPES);
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems));
  const [provider] = loaded.config.providers;
  if (!provider) throw new Error('no provider');
  t.match(provider, { type: 'file', enabled: true, account_share: 1 }, 'with the options of every type');
  const tariff = tariffNamed(loaded.config, 'disk');
  t.match(providerFacts(provider, tariff), { type: 'file', region: 'shed', slaPercent: 99 });
  t.equal(billedUnits(tariff, { payloadBytes: 10, topicBytes: 0, propertyBytes: 5 }), 15);
  t.equal(unitOf(tariff), 'byte');
  const wrong = agentYaml(t, 'path: DIR/out, key_fil: DIR/a.key');
  const problems = loadAgentConfig(wrong.file, systemSources, TYPES);
  t.match(JSON.stringify(problems), /key_fil\b/, 'a misspelt option is named');
});

t.test('credentials change without a restart, and their renewed file is taken up', async (t) => {
  const { dir, file } = agentYaml(
    t,
    'path: DIR/out, key_file: DIR/none.key, next_credentials: { key_file: DIR/b.key }',
  );
  const loaded = loadAgentConfig(file, systemSources, TYPES);
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems));
  const [provider] = loaded.config.providers;
  if (!provider) throw new Error('no provider');
  const log = createLogger({ level: 'silent', levels: {} });
  const publisher = new CredentialPublisher(provider, {
    clock: systemClock,
    log,
    trustedWallMs: () => null,
    lookEveryMs: 20,
    types: loaded.config.providerTypes,
  });
  t.teardown(() => publisher.close());
  t.same(await publisher.publish(envelope(), attempt(LONG_MS)), { kind: 'accepted' });
  t.match(publisher.credentials(), { inUse: 'next_credentials', standing: 'accepted' });
  const before = lines(dir);
  writeFileSync(join(dir, 'b.new'), 'third');
  renameSync(join(dir, 'b.new'), join(dir, 'b.key'));
  await until('a line is signed with the new key', async () => {
    await publisher.publish(envelope(), attempt(LONG_MS));
    return lines(dir).at(-1)?.signature !== before[0]?.signature;
  });
});

t.test('an agent delivers through it, and says so in its status, costs and metrics', async (t) => {
  const ports = { admin: await freePort(), broker: await freePort() };
  const { dir, file } = agentYaml(t, 'path: DIR/out, key_file: DIR/a.key', ports);
  const agent = spawn(process.execPath, [fileURLToPath(new URL('agent.ts', import.meta.url)), file], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(agent, 'exit');
  t.teardown(() => agent.kill('SIGKILL'));
  let log = '';
  agent.stdout.on('data', (chunk) => {
    log += String(chunk);
  });
  await until('the broker listens', () => log.includes('broker.listening'));
  const device = await connectAsync(`mqtt://127.0.0.1:${ports.broker}`);
  await device.publishAsync('a/b', 'reading', { qos: 1 });
  await device.endAsync();
  const delivered = await until('the reading is in the file', () =>
    lines(dir)
      .map(({ text }) => decodeEnvelope(Buffer.from(text, 'base64')))
      .find(({ stream }) => stream === 'all'),
  );
  t.match(delivered.records, [{ topic: 'a/b' }]);
  const get = async (path: string) => (await fetch(`http://127.0.0.1:${ports.admin}${path}`)).text();
  t.match(JSON.parse(await get('/v1/status')), { providers: [{ name: 'disk', type: 'file' }] });
  t.match(JSON.parse(await get('/v1/costs')), { providers: [{ name: 'disk', type: 'file', unit: 'byte' }] });
  t.match(await get('/metrics'), /provider_credential\{provider="disk",slot="credentials"\} 1/);
  agent.kill('SIGTERM');
  t.same(await ended, [0, null]);
});

t.test('the table of types in the documentation is that of the program', async (t) => {
  const page = readFileSync('docs/how-to/providers.md', 'utf8');
  t.ok(page.includes(tableOf(PROVIDER_TYPES)), `write this into the page:\n${tableOf(PROVIDER_TYPES)}`);
  t.match(tableOf(TYPES), /\| `file` \| A file \| the disk \|/);
});

t.test(`${PAGE} shows these very files`, async (t) => {
  const page = readFileSync(PAGE, 'utf8');
  const folder = new URL('file/', import.meta.url);
  for (const name of readdirSync(folder).filter((one) => one.endsWith('.ts'))) {
    const shown = new RegExp(`\`file/${name}\`:\\n\\n\`\`\`ts\\n([\\s\\S]*?)\`\`\``).exec(page)?.[1];
    t.equal(shown, readFileSync(new URL(name, folder), 'utf8'), name);
  }
});

function lines(dir: string): Array<{ signature: string; text: string }> {
  try {
    return readFileSync(join(dir, 'out'), 'utf8')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => {
        const [signature = '', text = ''] = line.split(' ');
        return { signature, text };
      });
  } catch {
    return []; // It is not there yet.
  }
}

function tableOf(types: ProviderTypes): string {
  const rows = types.map(({ type, doc }) => `| \`${type}\` | ${doc.name} | ${doc.transport} |`);
  return ['| type | what it is | publishes travel by |', '|---|---|---|', ...rows].join('\n');
}
