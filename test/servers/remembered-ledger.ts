/** A router that starts where its whole ledger is gone, older, or another one: for both engines. */
import { join } from 'node:path';
import type { Test } from 'tap';
import { stringify } from 'yaml';
import type { RouterConfig } from '../../router/config.ts';
import type { Ledger } from '../../router/ledger/ledger.ts';
import { openLedger } from '../../router/ledger/open.ts';
import { systemClock as clock } from '../../shared/clock.ts';
import { createLogger } from '../../shared/log.ts';
import { folderWith, headgate } from '../cli/run.ts';
import { entry } from '../router/ledger/envelopes.ts';

const log = createLogger({ level: 'silent', levels: {} });

/** Somebody's change to the ledger while no router runs. */
export interface Losses {
  ledger: RouterConfig['ledger'];
  /** Takes the whole ledger away. */
  drop: () => Promise<unknown>;
  /** Puts the whole ledger back as it was before the last commits; absent where that takes too long to do. */
  setBack?: () => Promise<unknown>;
}

export async function remembersLedger(t: Test, { ledger: config, drop, setBack }: Losses): Promise<void> {
  const timeout = 'timeout' in config ? { timeout: `${config.timeout}ms` } : {};
  const sources = [{ name: 'site', type: 'mqtt', url: 'mqtt://127.0.0.1:1', client_id: 'router' }];
  const dir = folderWith(t, {});
  const file = join(
    folderWith(t, {
      'router.yaml': stringify({ data_dir: dir, ledger: { ...config, ...timeout }, sources }),
    }),
    'router.yaml',
  );
  const opened = async (data_dir: string, work: (ledger: Ledger) => Promise<void>): Promise<void> => {
    const dead_letters = { max_bytes: 2 ** 20, max_age: 60_000 };
    const open = { ledger: config, data_dir, dead_letters, conflicts: [] };
    const ledger = await openLedger(open, { clock, log, role: 'router' });
    await work(ledger).finally(() => ledger.close());
  };
  const commit = async (ledger: Ledger): Promise<void> => {
    for (let seq = 1; seq <= 5; seq += 1) await ledger.commit([entry({ seqs: [seq] })]);
    await ledger.ping();
  };
  const accept = () => headgate(['ledger', 'accept', '--config', file]);
  t.match(await accept(), { code: 1, stderr: /knows of no ledger/ });
  await opened(dir, commit);
  await opened(dir, async () => undefined);
  if (setBack) {
    await setBack();
    await t.rejects(opened(dir, commit), {
      exitCode: 78,
      message: /ends at 2, and had come to 5: an older copy/,
    });
    t.match(await accept(), { code: 0, stdout: /the next start of the router takes the ledger as it is/ });
    await opened(dir, commit);
  }
  await drop();
  const router = await headgate(['router', '--config', file], { timeoutMs: 60_000 });
  t.match(router, {
    code: 78,
    stderr: /is not the one that this router had: it is gone.*headgate ledger accept/,
  });
  const another = folderWith(t, {});
  await opened(another, commit);
  await t.rejects(opened(dir, commit), { exitCode: 78, message: /it is another ledger/ });
  await drop();
  await t.rejects(opened(dir, commit), { exitCode: 78, message: /it is gone/ });
  t.match(await accept(), { code: 0 });
  await opened(dir, commit);
}
