/** A JetStream ledger that lost a part says so, and neither goes on without it nor makes it anew. */
import { join } from 'node:path';
import { type JetStreamManager, jetstreamManager, type StoredMsg } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import t, { type Test } from 'tap';
import { openJetStreamLedger } from '../../router/ledger/jetstream/engine.ts';
import type { Ledger } from '../../router/ledger/ledger.ts';
import type { LedgerRole } from '../../router/ledger/role.ts';
import { systemClock as clock } from '../../shared/clock.ts';
import { createLogger } from '../../shared/log.ts';
import { headgate } from '../cli/run.ts';
import { startAws } from '../loopback/start-aws.ts';
import { entry, seqs } from '../router/ledger/envelopes.ts';
import { testDir } from '../test-dir.ts';
import { until } from '../until.ts';
import { LOGIN, natsServer } from './nats.ts';
import { remembersLedger } from './remembered-ledger.ts';
import { routerProcess } from './router-process.ts';

const log = createLogger({ level: 'silent', levels: {} });

t.setTimeout(600_000);
const server = await natsServer(testDir(t));
t.teardown(() => server.kill());
await server.start();
const nc = await connect({ port: server.port, user: LOGIN.username, pass: LOGIN.password });
t.teardown(() => nc.close());
const manager = await jetstreamManager(nc);
const servers = [`nats://127.0.0.1:${server.port}`];
const login = { user: LOGIN.username, password: LOGIN.password };

async function opened(t: Test, name: string, role: LedgerRole = 'router'): Promise<Ledger> {
  const options = { servers, ...login, name, replicas: 1, timeoutMs: 8000, clock, log, role };
  const ledger = await openJetStreamLedger(options);
  t.teardown(() => ledger.close());
  return ledger;
}

interface Loss {
  /** What is done to the streams of the ledger `name`. */
  does: (manager: JetStreamManager, name: string) => Promise<unknown>;
  /** The error of a running router. */
  running: RegExp;
  /** The refusal of a starting router; null when it starts, with the ledger complete. */
  starting: RegExp | null;
}

async function madeAnew(part: string, name: string, description?: string): Promise<void> {
  const { config } = await manager.streams.info(`${name}-${part}`);
  await manager.streams.delete(config.name);
  await manager.streams.add(description === undefined ? config : { ...config, description });
}

/** Puts the part back as it was `lost` messages ago, as a backup of that time would have it. */
async function older(part: string, name: string, lost: number): Promise<void> {
  const { config, state } = await manager.streams.info(`${name}-${part}`);
  const kept: StoredMsg[] = [];
  for (let seq = state.first_seq; seq <= state.last_seq - lost; seq++) {
    const message = await manager.streams.getMessage(config.name, { seq });
    if (message) kept.push(message);
  }
  await manager.streams.delete(config.name);
  await manager.streams.add(config);
  for (const { subject, data } of kept) await nc.request(subject, data, { timeout: 5000 });
}

const LOSSES: Readonly<Record<string, Loss>> = {
  'commits-deleted': {
    does: (manager, name) => manager.streams.delete(`${name}-commits`),
    running: /-commits is gone/,
    starting: /lost a part: JetStream stream commits-deleted-commits is missing/,
  },
  'commits-purged': {
    does: (manager, name) => manager.streams.purge(`${name}-commits`),
    running: /-commits was purged/,
    starting: /-commits was purged/,
  },
  'commits-empty': {
    does: (_, name) => madeAnew('commits', name),
    running: /-commits was made anew/,
    starting: /-commits ends before commit 5/,
  },
  'records-deleted': {
    does: (manager, name) => manager.streams.delete(`${name}-records`),
    running: /-records is gone/,
    starting: /-records is missing/,
  },
  'records-purged': {
    does: (manager, name) => manager.streams.purge(`${name}-records`),
    running: /-records was purged/,
    starting: /-records was purged/,
  },
  'cursors-deleted': {
    does: (manager, name) => manager.streams.delete(`${name}-cursors`),
    running: /-cursors is gone/,
    starting: /-cursors is missing/,
  },
  'cursors-purged': {
    does: (manager, name) => manager.streams.purge(`${name}-cursors`),
    running: /-cursors was purged/,
    starting: /-cursors was purged/,
  },
  'records-foreign': {
    does: (_, name) => madeAnew('records', name, 'Headgate ledger 1 another'),
    running: /-records was made anew/,
    starting: /-records is of another ledger/,
  },
  'commits-foreign': {
    does: (_, name) => madeAnew('commits', name, 'Headgate ledger 1 another'),
    running: /-commits was made anew/,
    starting: /-commits is of another ledger/,
  },
  'cursors-foreign': {
    does: (_, name) => madeAnew('cursors', name, 'Headgate ledger 1 another'),
    running: /-cursors was made anew/,
    // The first part decides the id, so the others are the foreign ones.
    starting: /is of another ledger/,
  },
  'commits-older': {
    does: (_, name) => older('commits', name, 2),
    running: /-commits was made anew/,
    starting: /-commits ends before commit 5/,
  },
  'records-older': {
    does: (_, name) => older('records', name, 2),
    running: /-records was made anew/,
    starting: /-records ends before message \d+, which it held: an older copy/,
  },
  'cursors-older': {
    does: (_, name) => older('cursors', name, 1),
    running: /-cursors was made anew/,
    // Feeds go on where it says they were, and repeat what they delivered since.
    starting: null,
  },
  'state-deleted': {
    does: (manager, name) => manager.streams.delete(`${name}-state`),
    running: /-state is gone/,
    starting: null,
  },
};

for (const [name, { does, running, starting }] of Object.entries(LOSSES)) {
  await t.test(name, async (t) => {
    const ledger = await opened(t, name);
    for (let seq = 1; seq <= 5; seq += 1) await ledger.commit([entry({ seqs: [seq] })]);
    await ledger.resetFeedPosition('file', 3);
    await ledger.ping();
    await does(manager, name);
    await t.rejects(ledger.ping(), { name: 'LedgerLost', message: running });
    const before = await names(name);
    await opened(t, name, 'tool').then(
      (looked) => looked.verify(),
      () => undefined,
    );
    t.strictSame(await names(name), before, 'a look makes nothing');
    if (starting !== null) {
      await t.rejects(opened(t, name), { exitCode: 78, message: starting });
      return;
    }
    const again = await opened(t, name);
    t.match(await again.verify(), { records: 5, problemCount: 0 });
    t.match(await again.commit([entry({ seqs: seqs(1, 6) })]), [{ new: 1, duplicate: 5 }]);
    t.match(await again.loadFeedPosition('file'), { offset: 3 });
  });
}

async function names(name: string): Promise<string[]> {
  const found = await manager.streams.names().next();
  return found.filter((stream) => stream.startsWith(name)).sort((a, b) => a.localeCompare(b));
}

await t.test('a ledger of an earlier version gets an identity, and is whole', async (t) => {
  const ledger = await opened(t, 'earlier');
  await ledger.commit([entry({ seqs: [1, 2] })]);
  await ledger.close();
  for (const part of ['records', 'commits', 'state', 'cursors']) {
    await manager.streams.update(`earlier-${part}`, { description: 'Headgate ledger 1' });
    await manager.streams.purge(`earlier-${part}`, {
      filter: `earlier.${part === 'cursors' ? 'cursor' : part}.identity`,
    });
  }
  await Promise.all([opened(t, 'earlier'), opened(t, 'earlier')]);
  const again = await opened(t, 'earlier');
  await again.ping();
  t.match(await again.commit([entry({ seqs: [2, 3] })]), [{ new: 1, duplicate: 1 }]);
  const { config } = await manager.streams.info('earlier-commits');
  t.match(config.description, /^Headgate ledger 1 \S+$/);
});

await t.test(
  'a router whose log is deleted is not ready, and `ledger verify` does not mend it',
  async (t) => {
    const dir = testDir(t);
    const ledger = { type: 'jetstream', servers, ...login, name: 'process', replicas: 1, timeout: '8s' };
    const aws = await startAws(t);
    const router = await routerProcess(dir, { sources: [aws.cloud.routerConfig()], ledger });
    t.teardown(() => router.kill());
    await router.start();
    const writer = await opened(t, 'process');
    await writer.commit([entry({ seqs: [1] })]);
    await manager.streams.delete('process-commits');
    const told = await until('the router notices', async () => {
      const answer = await router.readiness();
      return answer?.status === 503 && /process-commits is gone/.test(String(answer.failing['ledger']));
    });
    t.ok(told);
    const config = join(dir, 'router.yaml');
    const verify = await headgate(['ledger', 'verify', '--config', config], { timeoutMs: 120_000 });
    t.match(verify, { code: 78, stderr: /lost a part: JetStream stream process-commits is missing/ });
    t.notOk((await names('process')).includes('process-commits'));
  },
);

await t.test('a whole ledger that is lost or another while no router runs', async (t) => {
  const name = 'remembered';
  await remembersLedger(t, {
    ledger: { type: 'jetstream', servers, ...login, name, replicas: 1, timeout: 8000 },
    drop: () =>
      Promise.all(
        ['cursors', 'records', 'state', 'commits'].map((part) => manager.streams.delete(`${name}-${part}`)),
      ),
  });
});
