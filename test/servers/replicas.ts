/**
 * Three writers on one database, killed at random, and the server once: whatever was fed is there once (I5), the interval
 * sets agree with the records, and a reader that followed by offset all the time saw every record once.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Test } from 'tap';
import type { Ledger } from '../../router/ledger/ledger.ts';
import { openPostgresLedger } from '../../router/ledger/postgres/postgres.ts';
import { systemClock } from '../../shared/clock.ts';
import { type Entropy, seededEntropy } from '../../shared/entropy.ts';
import { createLogger } from '../../shared/log.ts';
import { GATEWAYS, groupsOf, WRITERS } from './ledger-feed.ts';
import type { PostgresServer } from './postgres.ts';
import { optionsOf } from './postgres-engine.ts';

const SCRIPT = fileURLToPath(new URL('./ledger-writer.ts', import.meta.url));
const LIFE_MS_MAX = 3000;
const KILLS_MAX = 8;
const SERVER_DIES_MS = 4000;

export async function testReplicas(t: Test, server: PostgresServer, records: number): Promise<void> {
  const place = 'replicas';
  const perGateway = Math.ceil(records / GATEWAYS);
  const log = createLogger({ level: 'silent', levels: {} });
  const ledger = await openPostgresLedger({ ...optionsOf(place), clock: systemClock, log });
  t.teardown(() => ledger.close());
  const startedMs = performance.now();
  const run = { kills: 0, done: false };
  const writers = Array.from({ length: WRITERS }, (_, writer) => write(place, writer, perGateway, run));
  const reading = follow(ledger, run);
  await sleep(SERVER_DIES_MS);
  await server.kill();
  await server.start();
  await Promise.all(writers);
  run.done = true;
  const { seen, twice } = await reading;
  const seconds = (performance.now() - startedMs) / 1000;
  t.comment(
    `${perGateway * GATEWAYS} records fed twice, ${run.kills} writers killed, ${seconds.toFixed(0)} s`,
  );
  t.ok(run.kills >= WRITERS, 'writers were killed');
  t.equal(seen, perGateway * GATEWAYS, 'the reader saw each record');
  t.equal(twice, 0, 'and none twice');
  t.match(await ledger.totals(), { records: perGateway * GATEWAYS, conflicts: 0 });
  for (const stream of await ledger.completeness()) {
    t.match(stream, { completeTo: perGateway, records: perGateway, missingCount: 0 }, stream.gateway);
  }
  t.match(await ledger.verify(), { streams: GATEWAYS, records: perGateway * GATEWAYS, problems: [] });
}

/** Lives of one writer, the first {@link KILLS_MAX} killed at a random moment, until all of its groups are acknowledged. */
async function write(
  place: string,
  writer: number,
  perGateway: number,
  run: { kills: number },
): Promise<void> {
  const entropy = seededEntropy(100 + writer);
  const groups = groupsOf(writer, perGateway).length;
  let kills = 0;
  for (let next = 0; next < groups; ) {
    const life = await live(
      [place, String(writer), String(perGateway), String(next)],
      entropy,
      kills < KILLS_MAX,
    );
    next = life.acknowledged ?? next;
    if (!life.killed) continue;
    kills += 1;
    run.kills += 1;
  }
}

async function live(
  args: string[],
  entropy: Entropy,
  mortal: boolean,
): Promise<{ acknowledged: number | null; killed: boolean }> {
  const child = spawn(process.execPath, [SCRIPT, ...args], { stdio: ['ignore', 'pipe', 'ignore'] });
  let output = '';
  let timer: NodeJS.Timeout | undefined;
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
    // Counted from its first commit, so that every life gets on, however slow the machine.
    if (mortal) timer ??= setTimeout(() => child.kill('SIGKILL'), entropy.float() * LIFE_MS_MAX);
  });
  await once(child, 'close');
  clearTimeout(timer);
  const last = output.split('\n').slice(0, -1).at(-1);
  return { acknowledged: last === undefined ? null : Number(last), killed: child.signalCode === 'SIGKILL' };
}

/** Follows the ledger by offset as a feed does, until the writers are done and there is no more. */
async function follow(ledger: Ledger, run: { done: boolean }): Promise<{ seen: number; twice: number }> {
  const ids = new Set<string>();
  let after = 0;
  let twice = 0;
  for (;;) {
    const { done } = run;
    try {
      const page = await ledger.read(after, 5000);
      for (const { gateway, seq } of page) {
        const id = `${gateway}/${seq}`;
        if (ids.has(id)) twice += 1;
        ids.add(id);
      }
      after = page.at(-1)?.offset ?? after;
      if (page.length === 0 && done) return { seen: ids.size, twice };
      if (page.length === 0) await sleep(50);
    } catch (error) {
      // The server is away for a moment; afterwards a failure is one.
      if (done) throw error;
      await sleep(100);
    }
  }
}
