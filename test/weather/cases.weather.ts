/**
 * Real agent, router and clouds in the weather of a real network: test/weather/cases. `npm run test:weather`.
 */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { systemClock as clock } from '../../shared/clock.ts';
import { testDir } from '../test-dir.ts';
import { until } from '../until.ts';
import { readCases, type WeatherCase } from './case.ts';
import { World } from './world.ts';

const only = process.env['HEADGATE_WEATHER'] ?? '';
const wire = join(testDir(t), 'wire');
execFileSync('cc', ['-O2', '-o', wire, fileURLToPath(new URL('./wire.c', import.meta.url))]);

for (const one of readCases(new URL('./cases/', import.meta.url))) {
  if (!one.name.includes(only)) continue;
  t.test(one.name, async (t) => {
    const world = new World(testDir(t));
    t.teardown(() => world.stop());
    await world.start(one, wire);
    const tookMs = await recovery(world, one);
    t.comment(`recovered after ${Math.round(tookMs)} ms`);
    t.ok(tookMs <= one.recovers.within, `recovered after ${Math.round(tookMs)} of ${one.recovers.within} ms`);
    if (one.before.proxy === 'up') t.strictSame(world.tunnels(), hostsOf(one), 'through the proxy');
    const { acked, missing, duplicatedInLedger } = await world.verdict();
    t.strictSame({ missing, duplicatedInLedger }, { missing: 0, duplicatedInLedger: 0 }, `of ${acked}`);
  });
}

/** All that the agent speaks to. */
function hostsOf({ recovers }: WeatherCase): Set<string> {
  return new Set([...recovers.providers, 'router'].map((name) => `${name}.cloud.test`));
}

/**
 * Lets the weather change, and waits until each provider of the case accepts. Milliseconds since the last
 * change.
 */
async function recovery(world: World, { timeline, recovers }: WeatherCase): Promise<number> {
  const startedMs = clock.monoMs();
  for (const change of timeline) {
    await clock.sleep(startedMs + change.at - clock.monoMs());
    await world.change(change);
  }
  const changedMs = clock.monoMs();
  const before = await acceptedBy(world);
  await until(`${recovers.providers.join(' and ')} accept again`, async () => {
    const now = await acceptedBy(world);
    return recovers.providers.every((name) => (now.get(name) ?? 0) > (before.get(name) ?? 0));
  });
  return clock.monoMs() - changedMs;
}

async function acceptedBy(world: World): Promise<Map<string, number>> {
  const { providers } = await world.status();
  return new Map(providers.map(({ name, accepted }) => [name, accepted]));
}
