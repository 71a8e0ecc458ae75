/** Eclipse Paho's interoperability suite against an agent process; docs/reference/conformance.md. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { stringify } from 'yaml';
import { systemClock } from '../../shared/clock.ts';
import { AgentProcess, configFile } from '../crash/agent-process.ts';
import { freePort } from '../servers/free-port.ts';
import { testDir } from '../test-dir.ts';
import { pahoSuite, runPython } from './tools.ts';

/** Each test of the suite waits for seconds. */
t.setTimeout(600_000);

t.test('Paho’s suite passes 10 of 10', async (t) => {
  const suite = await pahoSuite();
  const dir = testDir(t);
  mkdirSync(join(dir, 'data'));
  const port = await freePort();
  const config = {
    gateway: 'paho-1',
    data_dir: join(dir, 'data'),
    admin: { host: '127.0.0.1', port: await freePort() },
    broker: { allow_anonymous: true, listeners: [{ type: 'tcp', host: '127.0.0.1', port }] },
    // No program listens there: everything stays in the buffer.
    providers: [{ name: 'away', type: 'mqtt', url: `mqtt://127.0.0.1:${await freePort()}` }],
    policy: { streams: { all: { topics: ['#'] } } },
  };
  writeFileSync(configFile(dir), stringify(config));
  const agent = new AgentProcess({ dir }, systemClock);
  await agent.untilReady();
  try {
    const told = await runPython('paho_suite.py', { suite, port });
    t.same(
      told.filter(({ passed }) => passed !== true),
      [],
    );
    t.equal(told.length, 10);
  } finally {
    await agent.kill();
  }
});
