/** Starts that a mistake prevents spend no epoch; those that one part cannot make are no bad starts. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { stringify } from 'yaml';
import { fiveFreePorts } from '../../demo/http.ts';
import { systemClock } from '../../shared/clock.ts';
import { systemEntropy } from '../../shared/entropy.ts';
import { command, headgate } from '../cli/run.ts';
import { AgentProcess, configFile } from '../crash/agent-process.ts';
import { testDir } from '../test-dir.ts';

/** Starts the agent until it is ready, runs `beside`, and kills it; its epoch's number. */
async function life(dir: string, beside: () => Promise<unknown> = async () => null): Promise<number> {
  const agent = new AgentProcess({ dir }, systemClock);
  try {
    await agent.untilReady();
    await beside();
    return Number.parseInt(agent.epoch ?? '', 10);
  } finally {
    await agent.kill();
  }
}

async function fresh(t: Test) {
  const [broker, admin] = await fiveFreePorts(systemEntropy);
  const dir = testDir(t);
  const sound = {
    gateway: 'gw-1',
    data_dir: join(dir, 'data'),
    admin: { port: admin },
    broker: { listeners: [{ type: 'tcp', port: broker }] },
    providers: [{ name: 'mqtt', type: 'mqtt', url: 'mqtt://127.0.0.1:9' }],
  };
  const write = (change: object): void => writeFileSync(configFile(dir), stringify({ ...sound, ...change }));
  write({});
  const start = () => headgate(['agent', '--config', configFile(dir)]);
  return { dir, broker, write, start };
}

t.test('configuration, missing secrets and a second agent spend no epoch', async (t) => {
  const { dir, write, start } = await fresh(t);
  t.equal(await life(dir), 1);
  const url = `\${HEADGATE_TEST_UNSET}`;
  for (const mistake of [
    { gateway: 'A b' },
    { nosuch: 1 },
    { providers: [{ name: 'm', type: 'mqtt', url }] },
  ]) {
    write(mistake);
    t.match(await command(['agent', '--config', configFile(dir)]), { code: 78 });
  }
  write({});
  t.equal(
    await life(dir, async () => t.match(await start(), { code: 1, stderr: /another|locked|open/ })),
    2,
    'the second agent beside the first one',
  );
  t.equal(await life(dir), 3);
});

t.test('a port in use and a credential that is not there do not end the agent', async (t) => {
  const { dir, broker, write } = await fresh(t);
  const file = join(dir, 'nosuch.pem');
  const mqtt = { name: 'm', type: 'mqtt', url: 'mqtts://127.0.0.1:9', cert_file: file, key_file: file };
  write({ admin: { port: broker }, providers: [mqtt] });
  t.equal(await life(dir), 1);
});
