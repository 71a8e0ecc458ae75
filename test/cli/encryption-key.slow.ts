/** A wrong key, or none, ends agent, router and commands with 78: systemd does not start them again. */
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { stringify } from 'yaml';
import { openSqliteLedger } from '../../router/ledger/sqlite/engine.ts';
import { systemClock } from '../../shared/clock.ts';
import { openSqlite } from '../../shared/sqlite/open.ts';
import { storeOn } from '../agent/store/fixture.ts';
import { entry } from '../router/ledger/envelopes.ts';
import { testDir } from '../test-dir.ts';
import { folderWith, headgate } from './run.ts';

t.setTimeout(300_000);
const OWN = Buffer.alloc(32, 7);
const log = { warn: () => undefined };

/** Key of the configuration, whether the key's note is beside the file, and what is said. */
const CASES: Readonly<Record<string, { key: Buffer | null; noted: boolean; told: RegExp }>> = {
  another: {
    key: Buffer.alloc(32, 8),
    noted: true,
    told: /is encrypted with the key 7b37d85daf5c6227, and (buffer|ledger)\.encryption_key is the key 8415/,
  },
  none: {
    key: null,
    noted: true,
    told: /is encrypted with the key 7b37d85daf5c6227: set (buffer|ledger)\.encryption_key to that key/,
  },
  'another, without the note': {
    key: Buffer.alloc(32, 8),
    noted: false,
    told: /(buffer|ledger)\.encryption_key/,
  },
};

async function encrypted(t: Test): Promise<string> {
  const dir = testDir(t);
  const { store } = storeOn(join(dir, 'buffer.db'), { key: OWN });
  await store.start();
  await store.stop();
  const ledger = await openSqliteLedger({
    ...{ file: join(dir, 'ledger.db'), key: OWN, role: 'router' },
    ...{ clock: systemClock, log },
  });
  await ledger.commit([entry({ seqs: [1] })]);
  await ledger.close();
  return dir;
}

/** Paths of an agent's and of a router's configuration. */
function configs(t: Test, data_dir: string, key: Buffer | null): { agent: string; router: string } {
  const keyed = key === null ? {} : { encryption_key: key.toString('hex') };
  const provider = { name: 'site', type: 'mqtt', url: 'mqtt://127.0.0.1:1', region: 'local' };
  const admin = { port: 0 };
  const agent = { gateway: 'gw-1', data_dir, admin, broker: { listeners: [{ port: 0 }] }, buffer: keyed };
  const router = { data_dir, admin, ledger: { type: 'sqlite', ...keyed } };
  const source = { name: 'site', type: 'mqtt', url: 'mqtt://127.0.0.1:1', client_id: 'router' };
  const dir = folderWith(t, {
    'agent.yaml': stringify({ ...agent, providers: [provider] }),
    'router.yaml': stringify({ ...router, sources: [source] }),
  });
  return { agent: join(dir, 'agent.yaml'), router: join(dir, 'router.yaml') };
}

for (const [name, { key, noted, told }] of Object.entries(CASES)) {
  await t.test(name, async (t) => {
    const dir = await encrypted(t);
    if (!noted) for (const file of ['buffer', 'ledger']) rmSync(join(dir, `${file}.db.key-id`));
    const { agent, router } = configs(t, dir, key);
    const before = ['buffer.db', 'ledger.db'].map((file) => readFileSync(join(dir, file)));
    const commands = [
      ['agent', '--config', agent],
      ['router', '--config', router],
      ['ledger', 'verify', '--config', router],
      ['ledger', 'accept', '--config', router],
      ['ledger', 'erasures', '--config', router],
      ['deadletter', 'ls', '--config', router],
      ['feeds', 'ls', '--config', router],
    ];
    for (const command of commands)
      t.match(await headgate(command), { code: 78, stderr: told }, command.join(' '));
    const after = ['buffer.db', 'ledger.db'].map((file) => readFileSync(join(dir, file)));
    t.strictSame(after, before, 'nothing is changed');
    t.notOk(
      readdirSync(dir).some((file) => file.includes('damaged')),
      'nothing is set aside',
    );
  });
}

await t.test('`ledger accept` of an encrypted ledger', async (t) => {
  const dir = await encrypted(t);
  const { router } = configs(t, dir, OWN);
  const db = openSqlite(join(dir, 'ledger.db'), {}, OWN);
  db.exec('DROP TABLE dead_letter; DELETE FROM cursor');
  db.close();
  const run = (command: string) => headgate(['ledger', command, '--config', router]);
  t.match(await run('verify'), { code: 78, stderr: /table dead_letter is missing.*headgate ledger accept/ });
  t.match(await run('accept'), { code: 0, stdout: /^table dead_letter: .*\ntable cursor: feeds go on/ });
  t.match(await run('verify'), { code: 0 });
  t.notOk(readFileSync(join(dir, 'ledger.db')).includes('CREATE TABLE'), 'it stays encrypted');
});
