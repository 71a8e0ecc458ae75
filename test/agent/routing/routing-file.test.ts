/** routing.json on a real disk: across restarts, reboots and damage. */

import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { LiveRouting } from '../../../agent/routing/live-routing.ts';
import { RoutingFile } from '../../../agent/routing/routing-file.ts';
import { createLogger } from '../../../shared/log.ts';
import { policySchema } from '../../../shared/policy/policy.ts';
import { ManualClock } from '../../manual-clock.ts';
import { testDir } from '../../test-dir.ts';
import { until } from '../../until.ts';
import { facts } from './core/world.ts';

interface Life {
  clock: ManualClock;
  routing: LiveRouting;
  kept: RoutingFile;
  events: string[];
  health(): string | undefined;
  /** The provider, by itself the first, refuses a connection. */
  refuses(provider?: string): void;
}

/** One run of an agent on `file`, `upMs` after the boot. */
async function live(t: Test, file: string, bootId: string, upMs: number): Promise<Life> {
  const clock = new ManualClock();
  clock.advance(upMs);
  const events: string[] = [];
  const log = createLogger(
    { level: 'info', levels: {} },
    { write: (line) => events.push(String(JSON.parse(line).event)) },
  );
  const routing = new LiveRouting({
    policy: policySchema.parse({ failover: { open_for: '40s', open_max: '40s' } }),
    providers: [facts('a'), facts('b')],
    clock,
    log,
  });
  const kept = new RoutingFile({ file, bootId, routing, clock, log });
  await kept.start();
  t.teardown(() => kept.stop());
  return {
    clock,
    routing,
    kept,
    events,
    health: () => routing.providers()[0]?.health,
    refuses(provider = 'a') {
      const outcome = { kind: 'retryable', cause: 'connection-refused', detail: '' } as const;
      routing.dispatch({ kind: 'published', provider, outcome, latencyMs: 5, bytes: 100, probe: false });
    },
  };
}

t.test('an open breaker survives a restart, and the time in between counts', async (t) => {
  const file = join(testDir(t), 'routing.json');
  const before = await live(t, file, 'boot-1', 5000);
  before.refuses();
  await before.kept.stop();
  const after = await live(t, file, 'boot-1', 20_000);
  t.equal(after.health(), 'open');
  t.equal(after.routing.providers()[0]?.openUntilMs, 45_000);
  t.ok(after.events.includes('routing.restored'));
  await after.kept.stop();
  const rebooted = await live(t, file, 'boot-2', 1000);
  t.equal(rebooted.routing.providers()[0]?.openUntilMs, 26_000, 'what was left of the pause then (I7)');
});

t.test('a kill takes at most ten seconds of it; between two writes lie as many (I10)', async (t) => {
  const file = join(testDir(t), 'routing.json');
  const killed = await live(t, file, 'boot-1', 5000);
  const saved = () => JSON.parse(readFileSync(file, 'utf8'));
  killed.refuses();
  killed.clock.advance(1000);
  await until('the file is written', () => existsSync(file));
  t.equal(saved().savedMs, 6000);
  t.equal((await live(t, file, 'boot-1', 7000)).health(), 'open');
  killed.refuses('b');
  killed.clock.advance(5000);
  killed.clock.advance(5000);
  await until('the file is written again', () => saved().savedMs > 6000);
  t.equal(saved().savedMs, 16_000, 'not before');
  t.match(saved().memory.providers[1], { name: 'b', health: 'open' });
});

t.test('damaged, of another version or too old: it begins afresh, says so, and starts (I9)', async (t) => {
  const file = join(testDir(t), 'routing.json');
  const before = await live(t, file, 'boot-1', 5000);
  before.refuses();
  await before.kept.stop();
  const sound = readFileSync(file, 'utf8');
  const texts = {
    torn: sound.slice(0, 40),
    empty: '',
    later: sound.replace('"version":1', '"version":2'),
    negative: sound.replace(/"pauseMs":[0-9.]+/, '"pauseMs":-1'),
  };
  for (const [what, text] of Object.entries(texts)) {
    writeFileSync(file, text);
    const after = await live(t, file, 'boot-1', 6000);
    t.equal(after.health(), 'healthy', what);
    t.ok(after.events.includes('routing.begins_afresh'), what);
  }
  writeFileSync(file, sound);
  t.equal((await live(t, file, 'boot-1', 700_000)).health(), 'healthy', 'eleven minutes ago');
  writeFileSync(file, sound);
  t.equal((await live(t, file, 'boot-1', 1000)).health(), 'healthy', 'from the future of this boot');
});

t.test('a disk that takes no file changes nothing but that (I9)', async (t) => {
  const folder = join(testDir(t), 'gone');
  const there = await live(t, join(folder, 'routing.json'), 'boot-1', 5000);
  there.refuses();
  await there.kept.stop();
  t.ok(there.events.includes('routing.file_not_written'));
  mkdirSync(folder);
  t.equal((await live(t, join(folder, 'routing.json'), 'boot-1', 6000)).health(), 'healthy');
});

t.test('tries that end because the agent stops are no failures of their providers', async (t) => {
  const { routing } = await live(t, join(testDir(t), 'routing.json'), 'boot-1', 5000);
  routing.start({ onProbe: () => undefined, onChange: () => undefined });
  routing.stop();
  const outcome = { kind: 'unknown', cause: 'connection-lost', detail: 'the publisher was closed' } as const;
  for (let i = 0; i < 8; i += 1) {
    routing.dispatch({ kind: 'published', provider: 'a', outcome, latencyMs: 5, bytes: 100, probe: false });
  }
  t.equal(routing.memory().providers[0]?.health, 'healthy');
});
