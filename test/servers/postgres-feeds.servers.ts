/**
 * Feeds of several routers on one ledger in PostgreSQL: one of them runs a feed at a time, and another takes
 * over.
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { Feed } from '../../router/feeds/feed.ts';
import { openNdjsonSink } from '../../router/feeds/sinks/ndjson.ts';
import type { Ledger } from '../../router/ledger/ledger.ts';
import { openPostgresLedger } from '../../router/ledger/postgres/engine.ts';
import { systemClock as clock } from '../../shared/clock.ts';
import { systemEntropy as entropy } from '../../shared/entropy.ts';
import { createLogger } from '../../shared/log.ts';
import { entry, seqs } from '../router/ledger/envelopes.ts';
import { leaseCases } from '../router/ledger/lease-cases.ts';
import { testDir } from '../test-dir.ts';
import { until } from '../until.ts';
import { postgres } from './postgres.ts';
import { engine, optionsOf, URL_VARIABLE } from './postgres-engine.ts';

const RUNNER = fileURLToPath(new URL('./feed-runner.ts', import.meta.url));
const log = createLogger({ level: 'silent', levels: {} });

const server = await postgres();
t.teardown(() => server.remove());
await server.start();
process.env[URL_VARIABLE] = server.url;

async function opened(t: Test, place: string): Promise<Ledger> {
  const ledger = await openPostgresLedger({ ...optionsOf(place), clock, log });
  t.teardown(() => ledger.close());
  return ledger;
}

function offsetsIn(path: string): number[] {
  if (!existsSync(path)) return [];
  const lines = readFileSync(path, 'utf8').split('\n').slice(0, -1);
  return lines.map((line) => JSON.parse(line).offset);
}

/** A feed as a router of its own would run it. */
async function router(t: Test, place: string, path: string, leaseMs: number): Promise<Feed> {
  const ledger = await opened(t, place);
  const sink = openNdjsonSink({ file: path }, process.stdout, clock);
  const feed = new Feed({ name: 'file', ledger, sink, clock, entropy, log, batchRecords: 10, leaseMs });
  await feed.start();
  t.teardown(() => feed.stop());
  return feed;
}

leaseCases(t, engine);

await t.test('a router that stops hands its feeds over, and nothing comes twice', async (t) => {
  const path = join(testDir(t), 'records.ndjson');
  const ledger = await opened(t, 'handover');
  const first = await router(t, 'handover', path, 60_000);
  await until('first is following', () => first.state().phase === 'following');
  const second = await router(t, 'handover', path, 60_000);
  await ledger.commit([entry({ seqs: seqs(1, 100) })]);
  await until('first has reached 100', () => first.state().cursor === 100);
  t.match([first.state().phase, second.state().phase], ['following', 'standby']);
  await ledger.commit([entry({ seqs: seqs(101, 600) })]);
  await until('first is past 200', () => first.state().cursor > 200);
  await first.stop();
  await until('second has reached 600', () => second.state().cursor === 600);
  t.strictSame(offsetsIn(path), seqs(1, 600));
});

await t.test('the lease of a router that was killed passes on, and nothing is skipped', async (t) => {
  const path = join(testDir(t), 'records.ndjson');
  const ledger = await opened(t, 'killed');
  await ledger.commit([entry({ seqs: seqs(1, 1000) })]);
  const child = spawn(process.execPath, [RUNNER, 'killed', path, '1500'], { stdio: 'inherit' });
  await until('it is in the middle', () => offsetsIn(path).length > 50);
  const next = await router(t, 'killed', path, 1500);
  await until('the second stands by', () => next.state().phase === 'standby');
  child.kill('SIGKILL');
  await once(child, 'close');
  t.ok(offsetsIn(path).length < 1000, 'it was in the middle');
  await until('next has reached 1000', () => next.state().cursor === 1000);
  t.strictSame(new Set(offsetsIn(path)), new Set(seqs(1, 1000)));
  const repeats = offsetsIn(path).length - 1000;
  t.ok(repeats <= 10, `${repeats} repeats: one batch at most`);
});

await t.test('a router cut off from the ledger goes on with its feed when the ledger is back', async (t) => {
  const path = join(testDir(t), 'records.ndjson');
  const ledger = await opened(t, 'cut');
  const feed = await router(t, 'cut', path, 1000);
  await ledger.commit([entry({ seqs: seqs(1, 20) })]);
  await until('feed has reached 20', () => feed.state().cursor === 20);
  await server.kill();
  await until('feed is retrying', () => feed.state().phase === 'retrying');
  await server.start();
  await ledger.commit([entry({ seqs: seqs(21, 40) })]);
  await until('feed has reached 40', () => feed.state().cursor === 40);
  t.strictSame(offsetsIn(path), seqs(1, 40));
});
