/** Waits that the tidy rule must refuse, beside those that it must not. */
import t from 'tap';
import { found } from './found.ts';
import { waits } from './waits.ts';

t.test('waits', async (t) => {
  const at = (line: string, path = 'test/a.test.ts'): string[] => found(waits, { [path]: `// 1\n${line}` });
  for (const bad of [
    "import { setTimeout as sleep } from 'node:timers/promises';",
    'await new Promise((resolve) => setTimeout(resolve, 50));',
    'const started = performance.now();',
    't.ok(Date.now() - started < 500);',
    'async function until(condition: () => boolean) {}',
    'const eventually = async (condition: () => boolean) => {};',
  ]) {
    t.strictSame(at(bad), ['test/a.test.ts:2'], bad);
  }
  for (const good of [
    "import { until } from '../until.ts';",
    "import { setImmediate } from 'node:timers/promises';",
    'const receivedWallMs = Date.now() - 3_600_000;',
    'const receivedWallMs = Date.now() - HOUR_MS;',
    "// setTimeout(resolve, 50)\nconst text = 'setTimeout(resolve, 50)';",
    'await clock.sleep(50);',
    'const until = 5;',
  ]) {
    t.strictSame(at(good), [], good);
  }
  const sleep = 'setTimeout(resolve, 50);';
  t.strictSame(at(sleep, 'test/until.ts'), [], 'the one place');
  t.strictSame(at(sleep, 'bench/a.ts'), [], 'a bench measures');
});

t.test('waits by the system’s clock, under any name', async (t) => {
  const fixture = `import { systemClock as clock } from '../shared/clock.ts';
export const now = clock;
export const deps = { clock, log: null };`;
  const at = (text: string): string[] => found(waits, { 'test/fixture.ts': fixture, 'test/a.test.ts': text });
  const own = "import { systemClock } from '../shared/clock.ts';";
  const shared = "import { deps, now as clock } from './fixture.ts';";
  for (const bad of [
    `${own}\nawait systemClock.sleep(50);`,
    `${own}\nconst started = systemClock.monoMs();`,
    `${own}\nsystemClock.every(50, ask);`,
    `${own}\nt.ok(systemClock.wallMs() - before.wallMs < 500);`,
    `${own}\nexport const sleep = (ms: number) => systemClock.sleep(ms);`,
    `${shared}\nawait clock.sleep(50);`,
    `${shared}\nawait deps.clock.sleep(50);`,
    `${shared}\nt.ok(clock.wallMs() - began < 500);`,
    `${shared} const { clock: c } = deps;\nc.setTimer(50, done);`,
    `${shared} const more = { ...deps, entropy: null };\nawait more.clock.sleep(50);`,
    `${own} const odd = { ...systemClock, wallMs: () => 0 };\nawait odd.sleep(50);`,
    `const clock = new SkippingClock();\nawait clock.sleep(50);`,
  ]) {
    t.strictSame(at(bad), ['test/a.test.ts:2'], bad);
  }
  for (const good of [
    `${shared}\nf(clock.wallMs(), clock.wallMs() - HOUR_MS);`,
    `${shared}\nasync (clock: Clock) => clock.sleep(50);`,
    `${shared}\nasync () => { const clock = new ManualClock(); await clock.sleep(50); };`,
    `${shared} const own = { ...deps, clock: manual };\nawait own.clock.sleep(50);`,
    `const clock = new SkippingClock();\nf(clock.monoMs());`,
  ]) {
    t.strictSame(at(good), [], good);
  }
});
