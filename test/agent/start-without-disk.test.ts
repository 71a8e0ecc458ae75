/**
 * A real agent whose disk does not work when it starts: it runs, devices go on among themselves, and it
 * recovers by itself (I1, I9).
 */
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { connectAsync } from 'mqtt';
import t from 'tap';
import { fiveFreePorts } from '../../demo/http.ts';
import { systemClock } from '../../shared/clock.ts';
import { systemEntropy } from '../../shared/entropy.ts';
import { type AgentFolder, AgentProcess, bufferFileIn, writeConfig } from '../crash/agent-process.ts';
import { testDir } from '../test-dir.ts';
import { until } from '../until.ts';

t.setTimeout(600_000);

t.test('it starts, says what is wrong, and takes records when the disk is there', async (t) => {
  const dir = testDir(t, { data: {} });
  const [broker, admin, one, two] = await fiveFreePorts(systemEntropy);
  const folder: AgentFolder = { dir, ports: { broker, admin, providers: [one, two] } };
  writeConfig(folder);
  // SQLite cannot open it, whoever runs the test.
  mkdirSync(bufferFileIn(dir));
  const agent = new AgentProcess(folder, systemClock);
  t.teardown(() => agent.kill());
  await agent.untilReady();

  const ready = async () => {
    const response = await fetch(`http://127.0.0.1:${admin}/readyz`);
    return { status: response.status, text: await response.text() };
  };
  t.match(await ready(), { status: 503, text: /failed.*unable to open database file/ });
  const metrics = await (await fetch(`http://127.0.0.1:${admin}/metrics`)).text();
  t.match(metrics, /^headgate_agent_store_state\{state="failed"\} 1$/m);
  const state = readFileSync(join(dir, 'agent.log'), 'utf8')
    .split('\n')
    .find((line) => line.includes('"store.state"'));
  t.match(JSON.parse(state ?? '{}'), { state: 'failed', folder: join(dir, 'data'), error: /unable to open/ });

  const url = `mqtt://127.0.0.1:${broker}`;
  const options = { protocolVersion: 4 as const, reconnectPeriod: 0 };
  const reader = await connectAsync(url, options);
  const arrived: string[] = [];
  reader.on('message', (_, payload) => arrived.push(payload.toString()));
  await reader.subscribeAsync('local/#');
  await reader.publishAsync('local/x', 'meanwhile');
  const device = await connectAsync(url, options);
  const ended = new Promise<string>((resolve) => device.once('close', () => resolve('ended')));
  const acknowledged = device.publishAsync('plant/x', '1', { qos: 1 }).then(() => 'acknowledged');
  t.equal(await Promise.race([ended, acknowledged]), 'ended', 'no PUBACK without a disk');
  acknowledged.catch(() => undefined);
  t.same(arrived, ['meanwhile']);

  rmSync(bufferFileIn(dir), { recursive: true });
  await until('the buffer opens by itself', async () => (await ready()).status === 200);
  const back = await connectAsync(url, options);
  await back.publishAsync('plant/x', '1', { qos: 1 });
  for (const client of [reader, device, back]) await client.endAsync(true);
});

t.test('it stops cleanly without the disk ever having been there', async (t) => {
  const dir = testDir(t, { data: {} });
  const [broker, admin, one, two] = await fiveFreePorts(systemEntropy);
  const folder: AgentFolder = { dir, ports: { broker, admin, providers: [one, two] } };
  writeConfig(folder);
  mkdirSync(bufferFileIn(dir));
  const agent = new AgentProcess(folder, systemClock);
  await agent.untilReady();
  const client = await connectAsync(`mqtt://127.0.0.1:${broker}`, {
    protocolVersion: 4,
    reconnectPeriod: 0,
    clientId: 'display',
    clean: false,
  });
  await client.subscribeAsync('x', { qos: 1 });
  await client.endAsync();
  const { pid } = agent;
  if (pid === undefined) throw new Error('the agent has no pid');
  process.kill(pid, 'SIGTERM');
  t.equal(await agent.untilEnded(), 'exit code 0');
});
