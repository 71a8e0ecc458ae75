/**
 * Every signal that a process can catch ends agent and router cleanly: records that are acknowledged from
 * memory reach the disk first. At SIGHUP an agent reads its policy again and runs on.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { connectAsync } from 'mqtt';
import t, { type Test } from 'tap';
import { stringify } from 'yaml';
import { BIN, folderWith } from '../cli/run.ts';
import { freePort } from '../servers/free-port.ts';
import { until } from '../until.ts';

const ENDING = [
  ...['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2'],
  ...['SIGALRM', 'SIGVTALRM', 'SIGXCPU', 'SIGPWR', 'SIGIO'],
] as NodeJS.Signals[];
const PASSED_OVER = ['SIGPIPE', 'SIGXFSZ'] as NodeJS.Signals[];
const RECORDS = 50;

/** A command that runs on, once it says that it is ready; `events` grow while it runs. */
async function running(t: Test, command: 'agent' | 'router', file: string) {
  const child = spawn(process.execPath, [BIN, command, '--config', file], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.teardown(() => child.kill('SIGKILL'));
  const exit = once(child, 'exit');
  const events: Array<Record<string, unknown>> = [];
  createInterface({ input: child.stdout }).on('line', (line) => events.push(JSON.parse(line)));
  await until(`${command} is ready`, () => events.some(({ event }) => event === 'process.ready'));
  return {
    events,
    send: (signal: NodeJS.Signals) => child.kill(signal),
    async ended(): Promise<unknown> {
      const [code, signal] = await exit;
      return code ?? signal;
    },
  };
}

/** The agent's configuration: nothing leaves, and records are acknowledged long before they are written. */
async function agentFile(t: Test) {
  const [broker, admin, nobody] = [await freePort(), await freePort(), await freePort()];
  const dir = folderWith(t, {});
  const config = {
    gateway: 'gw-1',
    data_dir: join(dir, 'data'),
    admin: { port: admin },
    broker: { allow_anonymous: true, listeners: [{ type: 'tcp', port: broker }] },
    providers: [{ name: 'nobody', type: 'mqtt', url: `mqtt://127.0.0.1:${nobody}` }],
    policy: { streams: { telemetry: { topics: ['#'], durability: { interval: '60s' } } } },
  };
  const file = join(folderWith(t, { 'agent.yaml': stringify(config) }), 'agent.yaml');
  const rows = async (): Promise<number> => {
    const answer = await fetch(`http://127.0.0.1:${admin}/v1/status`);
    const { buffer } = (await answer.json()) as { buffer: { rows: number } };
    return buffer.rows;
  };
  const publish = async (): Promise<void> => {
    const device = await connectAsync(`mqtt://127.0.0.1:${broker}`, { protocolVersion: 4 });
    const all = Array.from({ length: RECORDS }, (_, i) => device.publishAsync('plant/x', `${i}`, { qos: 1 }));
    await Promise.all(all);
    await device.endAsync(true);
  };
  return { file, rows, publish };
}

t.test('an agent writes what it acknowledged, whatever signal ends it (I1)', async (t) => {
  const { file, rows, publish } = await agentFile(t);
  const ending = ENDING.filter((signal) => signal !== 'SIGHUP');
  for (const [i, signal] of ending.entries()) {
    const agent = await running(t, 'agent', file);
    t.equal(await rows(), i * RECORDS, `before ${signal}`);
    for (const passed of [...PASSED_OVER, 'SIGHUP' as const]) agent.send(passed);
    await publish();
    agent.send(signal);
    t.equal(await agent.ended(), 0, signal);
    t.match(agent.events.at(-1), { event: 'process.stopped', clean: true });
    t.ok(agent.events.some((one) => one['event'] === 'process.stopping' && one['signal'] === signal));
  }
  const last = await running(t, 'agent', file);
  t.equal(await rows(), ending.length * RECORDS, 'nothing is lost');
  last.send('SIGTERM');
  t.equal(await last.ended(), 0);
});

t.test('a router ends cleanly on each of them', async (t) => {
  const config = {
    data_dir: join(folderWith(t, {}), 'data'),
    admin: { port: await freePort() },
    sources: [{ name: 'none', type: 'mqtt', url: `mqtt://127.0.0.1:${await freePort()}` }],
  };
  const file = join(folderWith(t, { 'router.yaml': stringify(config) }), 'router.yaml');
  for (const signal of ENDING) {
    const router = await running(t, 'router', file);
    for (const passed of PASSED_OVER) router.send(passed);
    router.send(signal);
    t.equal(await router.ended(), 0, signal);
    t.match(router.events.at(-1), { event: 'process.stopped', clean: true });
  }
});
