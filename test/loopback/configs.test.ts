/** The files of `headgate clouds --dir` are the user's: a start changes what the clouds chose anew. */
import { chmodSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { parse } from 'yaml';
import { writeConfigs } from '../../loopback/configs.ts';
import { seededEntropy } from '../../shared/entropy.ts';
import { testDir } from '../test-dir.ts';
import { startAws } from './start-aws.ts';

t.test('an edited file keeps all but the addresses and keys of this start', async (t) => {
  const dir = testDir(t);
  const entropy = seededEntropy(1);
  const { cloud } = await startAws(t);
  t.same(await writeConfigs(dir, [cloud], entropy), { 'agent.yaml': 'made', 'router.yaml': 'made' });
  const [agent, router] = [join(dir, 'agent.yaml'), join(dir, 'router.yaml')];
  const key = readFileSync(join(dir, 'gateway.key'), 'utf8');
  const endpoint = String(cloud.agentConfig('gw-1')['endpoint']);
  const edited = readFileSync(agent, 'utf8')
    .replace(endpoint, 'https://localhost:1')
    .replace('region: ', '# near the plant\n    timeout_of_mine: 5\n    region: ')
    .replace('gateway: gw-1', 'gateway: plant-7');
  writeFileSync(agent, edited);
  chmodSync(agent, 0o644);
  const removed = 'sources: [{ name: mine, type: mqtt, url: mqtt://h }]\n';
  writeFileSync(router, removed);

  t.same(await writeConfigs(dir, [cloud], entropy), { 'agent.yaml': 'updated', 'router.yaml': 'updated' });
  const kept = readFileSync(agent, 'utf8');
  t.equal(statSync(agent).mode & 0o777, 0o600, 'it holds keys');
  t.match(kept, '# near the plant\n');
  t.match(parse(kept), { gateway: 'plant-7', providers: [{ name: 'aws', timeout_of_mine: 5, endpoint }] });
  t.match(parse(readFileSync(router, 'utf8')), { sources: [{ name: 'mine' }] }, 'a removed entry stays away');
  t.equal(parse(readFileSync(router, 'utf8')).sources.length, 1);
  t.equal(readFileSync(join(dir, 'gateway.key'), 'utf8'), key);

  for (const text of ['providers: [', 'gateway: gw-1\n']) {
    writeFileSync(agent, text);
    t.match(await writeConfigs(dir, [cloud], entropy), { 'agent.yaml': 'left' });
    t.equal(readFileSync(agent, 'utf8'), text);
  }
});
