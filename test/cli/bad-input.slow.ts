/** Every command with input that is wrong: an exit code of its own, the field and the fix, no stack. */
import { createServer } from 'node:net';
import { join } from 'node:path';
import t from 'tap';
import { folderWith, headgate } from './run.ts';

const AGENT = `gateway: gw-1
data_dir: DATA
admin: { port: 0 }
broker: { listeners: [{ type: tcp, port: 0 }] }
providers: [{ name: aws, type: aws, region: eu-west-1, endpoint: 'https://127.0.0.1:9' }]
`;
const ROUTER = `data_dir: DATA
admin: { port: 0 }
sources: [{ name: site, type: mqtt, url: 'mqtt://127.0.0.1:1' }]
feeds: [{ name: file, type: ndjson, file: '/dev/null' }]
`;

/** `FOLDER` is an empty folder, `FILE` a file; the configurations have a `data_dir` that is named. */
const CASES: ReadonlyArray<readonly [command: string, code: number, says: RegExp]> = [
  ['nosuch', 2, /unknown command 'nosuch'/],
  ['agent', 2, /required option '--config <file>'/],
  ['agent --config nosuch.yaml', 78, /nosuch\.yaml\n +cannot be read \(ENOENT\)\n +fix: check the path/],
  ['agent --config FOLDER', 78, /cannot be read \(EISDIR\)/],
  ['agent --config FILE', 78, /expected a mapping|not valid YAML/],
  ['agent --config agent-proc', 78, /data_dir/],
  ['agent --config agent-file', 78, /data_dir\n +.* is not a directory\n +fix: name a folder/],
  [
    'router --config router-proc',
    78,
    /data_dir: no folder at \/proc\/nosuch\/data \(ENOENT\); name a folder on/,
  ],
  ['router --config router-file', 78, /data_dir: no folder at .* \(EEXIST\); name a folder, or remove/],
  [
    'router --config router-sys',
    78,
    /data_dir: no folder at .* \((EPERM|EACCES)\); let the user of the service/,
  ],
  ['router --config nosuch.yaml', 78, /cannot be read \(ENOENT\)/],
  ['status --admin nonsense', 2, /"nonsense" is not an address such as/],
  ['explain --at yesterday', 2, /"yesterday": expected a time such as/],
  ['hold add aws --for 5', 2, /--for: expected a duration such as/],
  ['where nonsense', 2, /expected <gateway>\/<epoch>\/<stream>\/<seq>/],
  ['simulate --history FILE', 1, /there is no history in .*file/],
  ['simulate --history nosuch', 1, /there is no history in nosuch/],
  ['feeds ls --config nosuch.yaml', 78, /cannot be read \(ENOENT\)/],
  ['feeds reset nosuch --to 0 --config router-new', 1, /there is no feed nosuch; router.yaml has: file/],
  ['ledger verify --config router-new', 1, /there is no ledger in/],
  ['ledger verify --config router-file', 1, /there is no ledger in/],
  ['ledger accept --config router-new', 1, /knows of no ledger/],
  ['ledger where nonsense --config router-new', 2, /expected gateway\/epoch\/stream\/seq/],
  ['deadletter ls --limit x --config router-new', 2, /--limit x: expected a whole number/],
  ['deadletter ls --older-than 5 --config router-new', 2, /--older-than 5: expected a duration such as 7d/],
  ['deadletter show x --config router-new', 2, /"x" is no id/],
  ['deadletter purge --config router-new', 2, /give ids, --source, --reason, --older-than or --all/],
  ['device ls', 2, /give --data-dir <folder> or --config/],
  ['device ls --data-dir FILE', 2, /--data-dir: there is no folder/],
  ['device rm nosuch --data-dir FOLDER', 1, /there is no device "nosuch"/],
  ['device group rm nosuch --data-dir FOLDER', 1, /there is no group "nosuch"/],
  ['device allow x nosuch a --data-dir FOLDER', 2, /expected one of publish, subscribe, both/],
  ['device import nosuch.csv --data-dir FOLDER', 1, /import: nosuch\.csv cannot be read \(ENOENT\); check/],
  ['device import FOLDER --data-dir FOLDER', 1, /import: .* cannot be read \(EISDIR\); check/],
  ['device add x --config agent-proc', 78, /data_dir: no folder at \/proc\/nosuch\/data \(ENOENT\)/],
  ['device add x --config agent-file', 78, /data_dir: no folder at .* \(EEXIST\)/],
  ['config check nosuch.yaml', 78, /cannot be read \(ENOENT\)/],
  ['config check agent-new --kind nosuch', 2, /unknown kind "nosuch"; known: agent, router, policy/],
  ['config schema nosuch', 2, /unknown kind "nosuch"/],
  ['clouds --dir /proc/nosuch', 78, /--dir: no folder at \/proc\/nosuch \(ENOENT\)/],
  ['clouds --dir FILE', 78, /--dir: no folder at .* \(EEXIST\)/],
  ['clouds --nosuch', 2, /unknown option '--nosuch'/],
  ['clouds fault nosuch:down', 2, /unknown provider "nosuch"; known: aws, azure, gcp/],
  ['demo --fault nosuch', 2, /--fault "nosuch": expected <provider>:<fault>/],
  ['demo --duration x', 2, /--duration "x": expected a whole number/],
];

t.test('each command says what is wrong and how to mend it', async (t) => {
  const folder = folderWith(t, {});
  const places: Record<string, string> = {
    new: join(folder, 'new'),
    proc: '/proc/nosuch/data',
    sys: '/sys/nosuch',
    file: '',
  };
  const dir = folderWith(t, { file: 'x\n' });
  places['file'] = join(dir, 'file');
  const configs = folderWith(
    t,
    Object.fromEntries(
      Object.entries(places).flatMap(([name, place]) => [
        [`agent-${name}`, AGENT.replace('DATA', place)],
        [`router-${name}`, ROUTER.replace('DATA', place)],
      ]),
    ),
  );
  const check = async ([command, code, says]: (typeof CASES)[number]): Promise<void> => {
    const args = command.split(' ').map((word) => {
      if (word === 'FOLDER') return folder;
      if (word === 'FILE') return join(dir, 'file');
      return /^(agent|router)-/.test(word) ? join(configs, word) : word;
    });
    const ran = await headgate(args, { timeoutMs: 60_000 });
    t.equal(ran.code, code, `${command}: ${ran.stderr}`);
    t.match(ran.stderr, says, command);
    t.notMatch(ran.stderr, /^ +at |internal error/m, command);
  };
  const left = [...CASES];
  const work = async (): Promise<void> => {
    for (let next = left.pop(); next !== undefined; next = left.pop()) await check(next);
  };
  await Promise.all([work(), work(), work()]);
});

t.test('a port in use', async (t) => {
  const blocker = createServer();
  await new Promise<void>((resolve) => blocker.listen(0, '127.0.0.1', resolve));
  t.teardown(() => blocker.close());
  const address = blocker.address();
  const port = typeof address === 'object' ? address?.port : 0;
  const ran = await headgate(['clouds', '--control-port', String(port), '--dir', folderWith(t, {})]);
  t.match(ran, {
    code: 1,
    stderr: /--control-port: port \d+ of 127\.0\.0\.1 is in use \(EADDRINUSE\); stop/,
  });
});
