/** A JetStream ledger that lost a part says so, and neither goes on without it nor makes it anew. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import t, { type Test } from 'tap';
import { stringify } from 'yaml';
import { acceptStreams, openJetStreamLedger } from '../../router/ledger/jetstream/engine.ts';
import type { Ledger } from '../../router/ledger/ledger.ts';
import type { LedgerRole } from '../../router/ledger/role.ts';
import { systemClock as clock } from '../../shared/clock.ts';
import { createLogger } from '../../shared/log.ts';
import { SparseLog } from '../../shared/sparse-log.ts';
import { headgate } from '../cli/run.ts';
import { startAws } from '../loopback/start-aws.ts';
import { entry, seqs } from '../router/ledger/envelopes.ts';
import { testDir } from '../test-dir.ts';
import { until } from '../until.ts';
import { LOGIN, natsServer } from './nats.ts';
import { remembersLedger } from './remembered-ledger.ts';
import { routerProcess } from './router-process.ts';
import { type StreamChange, streamChanges } from './stream-changes.ts';

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
  // Snapshots after every second commit of a router; a tool, like any, writes some for its memory's sake
  // alone.
  const limits = role === 'router' ? { snapshotCommits: 2 } : {};
  const options = { servers, ...login, name, replicas: 1, timeoutMs: 8000, clock, log, role, limits };
  const ledger = await openJetStreamLedger(options);
  t.teardown(() => ledger.close());
  return ledger;
}

interface Loss {
  does: StreamChange;
  /** The error of a running router. */
  running: RegExp;
  /** The refusal of a starting router, and of a tool; null when it starts, with the ledger complete. */
  starting: RegExp | null;
  /** The position of the feed after `ledger accept`; absent where that is refused. */
  accepted?: number;
  /** The refusal's remedy, in place of accepting. */
  mends?: StreamChange;
}

const { deleted, purged, emptied, foreign, older } = streamChanges(manager, nc);
const deletedAndAccepted =
  (part: string): StreamChange =>
  (name) =>
    deleted(part)(name).then(() => accepted(name));

const LOSSES: Readonly<Record<string, Loss>> = {
  'commits-deleted': {
    does: deleted('commits'),
    running: /-commits is gone/,
    starting: /lost a part: JetStream stream commits-deleted-commits is missing/,
  },
  'commits-purged': {
    does: purged('commits'),
    running: /-commits was purged/,
    starting: /-commits was purged/,
  },
  'commits-empty': {
    does: emptied('commits'),
    running: /-commits was made anew/,
    starting: /-commits ends before commit 9, which it held.*\. Restore the whole/,
  },
  'records-deleted': {
    does: deleted('records'),
    running: /-records is gone/,
    starting: /-records is missing/,
  },
  'records-purged': {
    does: purged('records'),
    running: /-records was purged/,
    starting: /-records was purged/,
  },
  'records-foreign': {
    does: foreign('records'),
    running: /-records was made anew/,
    starting: /-records is of another ledger\. Restore the whole/,
  },
  'commits-foreign': {
    does: foreign('commits'),
    running: /-commits was made anew/,
    starting: /-commits is of another ledger\. Restore the whole/,
  },
  'commits-older': {
    does: older('commits', 2),
    running: /-commits was made anew/,
    starting: /-commits ends before commit \d+.*\. Restore the whole/,
  },
  'records-older': {
    does: older('records', 3),
    running: /-records was made anew/,
    starting: /-records ends before message \d+, which it held: an older copy.*\. Restore the whole/,
  },
  'cursors-deleted': {
    does: deleted('cursors'),
    running: /-cursors is gone/,
    starting: /-cursors is missing.*headgate ledger accept/,
    accepted: 0,
  },
  'cursors-purged': {
    does: purged('cursors'),
    running: /-cursors was purged/,
    starting: /-cursors was purged\. .*headgate ledger accept/,
    accepted: 0,
  },
  'cursors-older': {
    does: older('cursors', 1),
    running: /-cursors was made anew/,
    starting: /-cursors ends before message \d+, .*an older copy.*headgate ledger accept/,
    accepted: 3,
  },
  'cursors-foreign': {
    does: foreign('cursors'),
    running: /-cursors was made anew/,
    starting:
      /-cursors is of another ledger\. Put the ledger's own back, or delete it .*headgate ledger accept/,
    mends: deletedAndAccepted('cursors'),
  },
  'state-deleted': {
    does: deleted('state'),
    running: /-state is gone/,
    starting: null,
  },
  'state-older': {
    does: older('state', 2),
    running: /-state was made anew/,
    // Older snapshots, and the log from there on: the same state.
    starting: null,
  },
  'state-purged': {
    does: purged('state'),
    running: /-state was purged/,
    starting: /-state was purged\. Delete state-purged-state: a router makes it anew/,
    mends: deleted('state'),
  },
  'state-foreign': {
    does: foreign('state'),
    running: /-state was made anew/,
    starting: /-state is of another ledger\. Delete state-foreign-state: a router makes it anew/,
    mends: deleted('state'),
  },
  ...Object.fromEntries(['conflicts', 'dead-letters', 'repeats'].flatMap(evidenceLosses)),
};

/** Parts that no record depends on: missed, and no reason to begin a new ledger. */
function evidenceLosses(part: string): [string, Loss][] {
  const told = (text: string, fix: string) => new RegExp(`-${part} ${text}\\. ${fix}`);
  const accept = '.*headgate ledger accept';
  const older2 = 'ends before message 2, which it held: an older copy, or made anew';
  const running = new RegExp(`-${part} was made anew`);
  const gone = new RegExp(`-${part} is gone`);
  const own = "Put the ledger's own back, or delete it";
  const starting = told('is of another ledger', own);
  return [
    [
      `${part}-deleted`,
      { does: deleted(part), running: gone, starting: told('is missing', accept), accepted: 3 },
    ],
    [`${part}-older`, { does: older(part, 1), running, starting: told(older2, accept), accepted: 3 }],
    [`${part}-foreign`, { does: foreign(part), running, starting, mends: deletedAndAccepted(part) }],
  ];
}

async function accepted(name: string): Promise<string[]> {
  const options = { servers, ...login, name, replicas: 1, timeoutMs: 8000 };
  return acceptStreams(options, { clock, log: new SparseLog({ clock, log }) });
}

/** Five records, and two messages in each stream of evidence. */
async function filled(ledger: Ledger): Promise<void> {
  for (let seq = 1; seq <= 5; seq += 1) await ledger.commit([entry({ seqs: [seq] })]);
  for (const seq of [1, 2]) {
    await ledger.commit([entry({ seqs: [seq], text: 'other' })]);
    await ledger.commit([entry({ seqs: [seq] })]);
    await ledger.deadLetter({
      source: 's',
      reason: 'cbor',
      detail: '',
      bytes: Buffer.of(seq),
      receivedWallMs: 7,
    });
  }
  await ledger.resetFeedPosition('file', 3);
}

for (const [name, { does, running, starting, accepted: feedAt, mends }] of Object.entries(LOSSES)) {
  await t.test(name, async (t) => {
    const ledger = await opened(t, name);
    await filled(ledger);
    await ledger.ping();
    await does(name);
    await t.rejects(ledger.ping(), { name: 'LedgerLost', message: running });
    const before = await ends(name);
    const looked = await opened(t, name, 'tool').then(
      (tool) => tool.verify().then(() => null),
      (error: Error) => error,
    );
    t.strictSame(await ends(name), before, 'a look makes nothing');
    if (starting === null) return goesOn(t, name, 3);
    t.match(looked, { exitCode: 78, message: starting });
    await t.rejects(opened(t, name), { exitCode: 78, message: starting });
    t.strictSame(await ends(name), before, 'a refused start makes nothing');
    if (feedAt === undefined) {
      await t.rejects(accepted(name), { exitCode: 78, message: starting });
      t.strictSame(await ends(name), before, 'what is refused changes nothing');
      if (mends === undefined) return;
      await mends(name);
      return goesOn(t, name, name === 'cursors-foreign' ? 0 : 3);
    }
    t.match(await accepted(name), [new RegExp(`^JetStream stream ${name}-[a-z-]+: .`)]);
    await goesOn(t, name, feedAt);
  });
}

/** Several parts at once: each is named, and `ledger accept` takes all of them or none. */
const MIXES: Readonly<Record<string, { lost: readonly string[]; told: RegExp; accepted: string[] | null }>> =
  {
    'mix-all': {
      lost: ['cursors', 'state', 'conflicts', 'dead-letters', 'repeats'],
      told: /lost a part: .*-cursors is missing\. Restore .*-state is missing\. A router makes .*-conflicts is missing\. Restore/,
      accepted: ['cursors', 'conflicts', 'dead-letters', 'repeats'],
    },
    'mix-records': {
      lost: ['cursors', 'records'],
      told: /lost a part: .*-cursors is missing\. Restore .*-records is missing\. Restore the whole/,
      accepted: null,
    },
  };

for (const [name, { lost, told, accepted: taken }] of Object.entries(MIXES)) {
  await t.test(name, async (t) => {
    const ledger = await opened(t, name);
    await filled(ledger);
    await ledger.close();
    for (const part of lost) await deleted(part)(name);
    const before = await ends(name);
    for (const role of ['router', 'tool'] as const)
      await t.rejects(opened(t, name, role), { exitCode: 78, message: told });
    if (taken === null) {
      await t.rejects(accepted(name), { exitCode: 78, message: told });
      t.strictSame(await ends(name), before, 'none is taken');
      return;
    }
    t.strictSame(await ends(name), before, 'a refused start makes nothing');
    t.strictSame(
      (await accepted(name)).map((line) => line.split(':')[0]),
      taken.map((part) => `JetStream stream ${name}-${part}`),
    );
    await goesOn(t, name, 0);
  });
}

await t.test('numbers that a lost stream of conflicts gave are not taken for new ones', async (t) => {
  const name = 'renumbered';
  const ledger = await opened(t, name);
  await filled(ledger);
  await ledger.close();
  await manager.streams.delete(`${name}-conflicts`);
  await accepted(name);
  const again = await opened(t, name);
  await again.commit([entry({ seqs: [5], text: 'other' })]);
  const { gateway, epoch, stream } = entry({ seqs: [5] }).envelope;
  const asideOf = async (seq: number): Promise<number> =>
    (await again.maintenance.where({ gateway, epoch, stream, seq })).aside.length;
  t.strictSame(await Promise.all([1, 5].map(asideOf)), [0, 1]);
});

await t.test('`ledger accept` of a person goes on without what can be missed', async (t) => {
  const name = 'binary';
  const dir = testDir(t);
  const ledger = { type: 'jetstream', servers, ...login, name, replicas: 1, timeout: '8s' };
  const sources = [{ name: 'site', type: 'mqtt', url: 'mqtt://127.0.0.1:1', client_id: 'router' }];
  const config = join(dir, 'router.yaml');
  writeFileSync(config, stringify({ data_dir: dir, ledger, sources }));
  const run = (...args: string[]) => headgate([...args, '--config', config]);
  const own = await opened(t, name);
  await filled(own);
  await own.close();
  await older('dead-letters', 1)(name);
  await manager.streams.delete(`${name}-cursors`);
  const told = /-cursors is missing\. .*-dead-letters ends before message 2.*headgate ledger accept --config/;
  t.match(await run('ledger', 'verify'), { code: 78, stderr: told });
  t.match(await run('ledger', 'accept'), {
    code: 0,
    stdout: /^JetStream stream binary-cursors: feeds go on .*\nJetStream stream binary-dead-letters: dead/,
  });
  t.match(await run('ledger', 'verify'), { code: 0 });
  t.match(await run('ledger', 'accept'), { code: 1, stderr: /knows of no ledger/ });
  await manager.streams.purge(`${name}-records`);
  const whole = /-records was purged\. Restore the whole ledger from one backup/;
  t.match(await run('ledger', 'accept'), { code: 78, stderr: whole });
});

async function goesOn(t: Test, name: string, feedAt: number): Promise<void> {
  const again = await opened(t, name);
  t.match(await again.verify(), { records: 5, problemCount: 0 });
  t.match(await again.loadFeedPosition('file'), { offset: feedAt });
  t.match(await again.commit([entry({ seqs: seqs(1, 6) })]), [{ new: 1, duplicate: 5 }]);
  await again.deadLetter({ source: 's', reason: 'cbor', detail: '', bytes: Buffer.of(3), receivedWallMs: 7 });
  t.strictSame(
    (await again.read(0, 100)).map(({ seq }) => seq),
    seqs(1, 6),
  );
  await again.ping();
  await again.close();
  await opened(t, name, 'tool');
}

/** The streams of a ledger, each with its last sequence. */
async function ends(name: string): Promise<Record<string, number>> {
  const found: Record<string, number> = {};
  for (const stream of await names(name)) found[stream] = (await manager.streams.info(stream)).state.last_seq;
  return found;
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
