/**
 * The README's first steps, line by line as a newcomer types them: traffic flows, and the last lines move it
 * to another cloud. Only the ports differ: those of the README may be in use.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import t, { type Test } from 'tap';
import type { AgentStatus, RouterStatus } from '../../shared/admin-api/status.ts';
import { BIN, ROOT } from '../cli/run.ts';
import { testDir } from '../test-dir.ts';
import { until } from '../until.ts';

const readme = readFileSync(join(ROOT, 'README.md'), 'utf8');
const section = readme.slice(readme.indexOf('## First steps'), readme.indexOf('## With real clouds'));
const [started = [], typed = []] = [...section.matchAll(/```sh\n(.*?)```/gs)].map(([, block = '']) =>
  block.split('\n').flatMap((line) => line.replace(/\s+#.*$/, '').trim() || []),
);

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  return typeof address === 'object' && address !== null ? address.port : 0;
}

async function newcomer(t: Test) {
  const dir = testDir(t);
  const ports = { mqtt: await freePort(), agent: await freePort(), router: await freePort() };
  let control = '';
  /** A line of the README, with this machine's programs and this test's ports. */
  const translated = (line: string): string =>
    line
      .replace('npx headgate', `env -u NODE_OPTIONS '${process.execPath}' '${BIN}'`)
      .replace('npx mqtt_pub', `'${process.execPath}' '${ROOT}/node_modules/.bin/mqtt_pub' -p ${ports.mqtt}`)
      .replace(/clouds --dir/, 'clouds --control-port 0 --dir')
      .replace(/clouds fault/, `clouds fault --control ${control}`)
      .replace(/status --router$/, `status --router --admin http://127.0.0.1:${ports.router}`)
      .replace(/(status|explain)$/, `$1 --admin http://127.0.0.1:${ports.agent}`);
  const run = (line: string): ChildProcess => {
    // A process group of its own: a loop with a pipe is several processes.
    const child = spawn('bash', ['-c', translated(line)], { cwd: dir, detached: true });
    const closed = once(child, 'close');
    t.teardown(() => {
      if (child.pid !== undefined && child.exitCode === null && child.signalCode === null)
        process.kill(-child.pid, 'SIGTERM');
      return closed;
    });
    return child;
  };
  const startClouds = async (line: string): Promise<void> => {
    const child = run(line);
    if (child.stdout === null) throw new Error('the clouds have no output');
    for await (const text of createInterface({ input: child.stdout })) {
      control = /control API +(\S+)/.exec(text)?.[1] ?? control;
      if (text.startsWith('Ctrl-C')) break;
    }
    child.stdout.resume();
    for (const [name, port] of Object.entries({ agent: ports.agent, router: ports.router })) {
      const file = join(dir, 'try', `${name}.yaml`);
      const config = readFileSync(file, 'utf8').replace('port: 1883', `port: ${ports.mqtt}`);
      writeFileSync(file, `${config}admin: { port: ${port} }\n`);
    }
  };
  const ask = async <T>(port: number): Promise<T | null> =>
    fetch(`http://127.0.0.1:${port}/v1/status`)
      .then(async (answer): Promise<T> => JSON.parse(await answer.text()))
      .catch(() => null);
  return {
    run,
    startClouds,
    agent: () => ask<AgentStatus>(ports.agent),
    router: () => ask<RouterStatus>(ports.router),
  };
}

t.test('the first steps of the README move real traffic', async (t) => {
  t.equal(started.length, 4, 'four terminals');
  const { run, startClouds, agent, router } = await newcomer(t);
  const [cloudsLine = '', routerLine = '', agentLine = '', deviceLine = ''] = started;
  await startClouds(cloudsLine);
  const records = run(routerLine);
  let printed = '';
  records.stdout?.on('data', (chunk) => {
    printed += chunk;
  });
  run(agentLine).stdout?.resume();
  await until('the agent runs', agent);
  run(deviceLine).stdout?.resume();

  const goesTo = async () => (await agent())?.streams[0]?.chosen[0];
  const inLedger = async () => (await router())?.ledger?.records ?? 0;
  await until('records in the ledger', async () => (await inLedger()) > 5);
  t.equal(await goesTo(), 'aws');
  t.match(printed, '"topic":"plant/pump-1/pressure"', 'the router prints them');

  for (const line of typed) {
    const child = run(line);
    const [code] = await once(child, 'close');
    t.equal(code, 0, line);
    if (!line.endsWith('aws:blackhole')) continue;
    await until('another cloud has the stream', async () => (await goesTo()) === 'azure');
    const atMove = await inLedger();
    await until('records go on through it', async () => (await inLedger()) > atMove + 10);
  }
  const status = await until('the router answers', router);
  t.equal(status.summary?.missing, 0, 'nothing is missing');
});
