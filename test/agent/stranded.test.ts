/** An agent says of streams that can never leave that it is not ready, and why. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { stringify } from 'yaml';
import { strandedStreams } from '../../agent/routing/stranded.ts';
import { fiveFreePorts } from '../../demo/http.ts';
import { systemClock } from '../../shared/clock.ts';
import { systemEntropy } from '../../shared/entropy.ts';
import { type ProviderFacts, policySchema } from '../../shared/policy/policy.ts';
import { command } from '../cli/run.ts';
import { AgentProcess, configFile } from '../crash/agent-process.ts';
import { testDir } from '../test-dir.ts';
import { until } from '../until.ts';

const AWS: ProviderFacts = {
  name: 'aws',
  type: 'aws',
  region: 'eu-west-1',
  enabled: true,
  priority: 100,
  slaPercent: 99.9,
  certifications: ['ISO 27001'],
};
const HUB: ProviderFacts = { ...AWS, name: 'hub', type: 'azure', region: 'eastus', certifications: [] };

function stranded(policy: object, ...providers: ProviderFacts[]): Record<string, string> {
  return Object.fromEntries(strandedStreams(policySchema.parse(policy), providers));
}

const all = (more: object = {}): object => ({ streams: { all: { topics: ['#'], ...more } } });

t.test('streams with fewer possible providers than copies, and why', async (t) => {
  t.strictSame(stranded(all(), AWS, HUB), {});
  t.strictSame(stranded(all({ redundancy: 2 }), AWS, HUB), {});
  t.strictSame(stranded(all({ redundancy: 2 }), AWS, { ...HUB, enabled: false }), {
    all: '1 of the 2 providers that it asks for may carry it (hub: disabled)',
  });
  t.strictSame(stranded(all({ data_residency: 'asia' }), AWS), {
    all: 'no provider may carry it (aws: region eu-west-1 is not in zone asia)',
  });
  const asks = (name: string): object => ({ ...all(), compliance: { required_certifications: [name] } });
  t.strictSame(stranded(asks('ISO 27001'), AWS, HUB), {});
  t.match(stranded(asks('ISO 2701'), AWS), {
    all: /aws: lacks certification "ISO 2701", which is not known: did you mean "ISO 27001"\?/,
  });
  t.strictSame(stranded(asks('HIPAA'), AWS), {
    all: 'no provider may carry it (aws: lacks certification "HIPAA")',
  });
});

t.test('a real agent with a misspelt certification is not ready, and its status says why', async (t) => {
  const [broker, admin] = await fiveFreePorts(systemEntropy);
  const dir = testDir(t);
  const config = {
    gateway: 'gw-1',
    data_dir: join(dir, 'data'),
    admin: { port: admin },
    broker: { listeners: [{ type: 'tcp', port: broker }] },
    providers: [{ name: 'aws', type: 'aws', region: 'eu-west-1', endpoint: 'https://127.0.0.1:9' }],
    policy: { compliance: { required_certifications: ['ISO 2701'] } },
  };
  writeFileSync(configFile(dir), stringify(config));
  const lines: string[] = [];
  const agent = new AgentProcess({ dir }, systemClock, { onLine: (line) => lines.push(line) });
  t.teardown(() => agent.kill());
  await agent.untilReady();
  const url = `http://127.0.0.1:${admin}`;
  const ready = await fetch(`${url}/readyz`);
  t.equal(ready.status, 503);
  t.match(
    await ready.text(),
    /routing.*stream .*telemetry.*no provider may carry it.*ISO 2701.*did you mean/,
  );
  const status = await command(['status', '--admin', url]);
  t.match(status.stdout, /NEVER LEAVES BECAUSE\ntelemetry +no provider may carry it \(aws: lacks/);
  await until('the log says it', () => lines.some((line) => line.includes('routing.stranded')));
});
