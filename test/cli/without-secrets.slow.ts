/** Commands for the ledger or the devices need no secret of a provider, a source or another feed. */
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { loadFeedConfig } from '../../router/config.ts';
import { openSqliteLedger } from '../../router/ledger/sqlite/engine.ts';
import { systemClock } from '../../shared/clock.ts';
import { createLogger } from '../../shared/log.ts';
import { entry } from '../router/ledger/envelopes.ts';
import { folderWith, headgate } from './run.ts';

const log = createLogger({ level: 'silent', levels: {} });
const ROUTER = `sources:
  - name: hub
    type: azure
    credentials: { connection_string: "file:\${CREDENTIALS_DIRECTORY}/hub" }
    identities: { plant-7: gw-1 }
  - { name: site, type: mqtt, url: "mqtts://\${BROKER}:8883", password: "file:/nowhere/password" }
receipts: { through: [{ type: aws, name: r, region: eu-west-1, endpoint: "https://\${SHADOW}" }] }
feeds:
  - { name: table, type: postgres, url: "\${TABLE_URL}" }
  - { name: hook, type: webhook, url: "https://\${HOOK}/x", secret: "\${HOOK_SECRET}" }
  - { name: file, type: ndjson, file: "-" }
`;

async function routerFile(t: Test): Promise<string> {
  const dir = folderWith(t, {});
  const ledger = await openSqliteLedger({ file: join(dir, 'ledger.db'), clock: systemClock, log });
  await ledger.commit([entry({ seqs: [1, 2, 3] })]);
  await ledger.close();
  return join(folderWith(t, { 'router.yaml': `data_dir: ${dir}\n${ROUTER}` }), 'router.yaml');
}

t.test('each command of the ledger runs, whose secrets are not there', async (t) => {
  const file = await routerFile(t);
  const commands: ReadonlyArray<readonly [string, number, RegExp]> = [
    ['deadletter ls', 0, /^ID/],
    ['deadletter retry --all', 0, /0 committed/],
    ['deadletter purge --all', 0, /0 removed/],
    ['deadletter show 1', 1, /there is no dead letter 1/],
    ['feeds ls', 0, /table +postgres +0 +3/],
    ['feeds reset file --to end', 0, /file continues after offset 3/],
    ['feeds reset hook --to 1', 0, /hook continues after offset 1/],
    ['feeds skip hook --offset 2', 0, /hook skips/],
    ['ledger verify', 0, /3 records in 1 streams: clean/],
    ['ledger erasures', 0, /^STARTED/],
    ['ledger where gw-1/1-aa/telemetry/1', 0, /offset 1/],
    ['ledger accept', 1, /knows of no ledger/],
    ['ledger erase --device nosuch', 1, /has no record of device "nosuch"/],
  ];
  for (const [command, code, says] of commands) {
    const ran = await headgate([...command.split(' '), '--config', file]);
    t.equal(ran.code, code, `${command}: ${ran.stderr}`);
    t.match(ran.stdout + ran.stderr, says, command);
  }
  t.match(
    await headgate(['router', '--config', file]),
    { code: 78, stderr: /CREDENTIALS_DIRECTORY.*BROKER/s },
    'the router needs them',
  );
});

t.test('what a command needs is told, and nothing else', async (t) => {
  const file = await routerFile(t);
  const reset = await headgate(['feeds', 'reset', 'table', '--to', '1', '--config', file]);
  t.match(reset, { code: 78, stderr: /feeds\[0\]\.url.*TABLE_URL is not set/ });
  t.notMatch(reset.stderr, /HOOK|BROKER|CREDENTIALS/);
  const url = 'postgres://u:p@127.0.0.1:1/x';
  const sources = { env: { TABLE_URL: url }, readFile: () => ROUTER };
  t.match(loadFeedConfig('router.yaml', 'table', sources), { ok: true, config: { name: 'table', url } });
  const ledger = `data_dir: /tmp\nledger: { type: postgres, url: "\${LEDGER_URL}" }\n${ROUTER}`;
  const config = join(folderWith(t, { 'router.yaml': ledger }), 'router.yaml');
  const verify = await headgate(['ledger', 'verify', '--config', config]);
  t.match(verify, { code: 78, stderr: /1 mistake\n.*ledger\.url\n.*LEDGER_URL is not set/ });
});

t.test('devices', async (t) => {
  const data = folderWith(t, {});
  const agent = `gateway: gw-1
data_dir: ${data}
providers: [{ name: hub, type: azure, region: westeurope, credentials: { connection_string: "\${HUB}" } }]
`;
  const file = join(folderWith(t, { 'agent.yaml': agent }), 'agent.yaml');
  t.match(await headgate(['device', 'add', 'press-1', '--config', file]), { code: 0, stderr: '' });
  t.match(await headgate(['device', 'ls', '--config', file]), { code: 0, stdout: /press-1/ });
  t.match(await headgate(['agent', '--config', file]), { code: 78, stderr: /HUB is not set/ });
  const wrong = join(folderWith(t, { 'agent.yaml': 'gateway: gw-1\n' }), 'agent.yaml');
  t.match(await headgate(['device', 'ls', '--config', wrong]), {
    code: 78,
    stderr: /data_dir/,
  });
});
