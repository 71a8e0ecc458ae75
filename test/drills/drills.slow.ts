/**
 * Outages as 2025 had them, against real agent and router processes: test/drills/cases. Each drill prints one
 * JSON line with its figures; docs/explanation/outage-drills.md has them as a table. `HEADGATE_DRILL=<part of
 * a name>` runs some.
 */
import t, { type Test } from 'tap';
import { systemClock as clock } from '../../shared/clock.ts';
import { testDir } from '../test-dir.ts';
import { until } from '../until.ts';
import { type DrillCase, type DrillCloud, readCases } from './case.ts';
import { BIN_MS, type Seen } from './observer.ts';
import { DrillWorld } from './world.ts';

const only = process.env['HEADGATE_DRILL'] ?? '';
/** Records that were under way when an outage began come into the ledger within this time. */
const UNDER_WAY_MS = 2000;

t.setTimeout(1_800_000);

for (const one of readCases(new URL('./cases/', import.meta.url))) {
  if (!one.name.includes(only)) continue;
  t.test(one.name, async (t) => {
    const world = new DrillWorld(testDir(t));
    t.teardown(() => world.stop());
    await world.start(one);
    world.observer.start();
    const { flowed, rowsDropMax } = await outage(world, one);
    const overMs = clock.monoMs();
    const recoveredMs = await recovery(world, one);
    await world.settle();
    const drainedMs = Math.round(clock.monoMs() - overMs);
    const summary = await world.completeness();
    const reconciled = (await world.observer.router()).ledger?.duplicates ?? 0;
    const { acked, missing, duplicatedInLedger } = await world.verdict();
    const { seen } = world.observer;
    t.strictSame(
      { missing, duplicatedInLedger, incomplete: summary.missing, givenUp: summary.givenUp },
      { missing: 0, duplicatedInLedger: 0, incomplete: 0, givenUp: 0 },
      `nothing of ${acked} is lost or doubled`,
    );
    judge(t, one, seen);
    t.ok(reconciled >= one.expect.reconciled_min, `${reconciled} reconciled`);
    if (one.expect.flows) t.ok(flowed > 0, `${flowed} records came during the outage`);
    if (one.expect.keeps_rows) t.equal(rowsDropMax, 0, 'no row left the buffer during the outage');
    const figures = { recoveredMs, drainedMs, acked, flowed, reconciled, lost: missing };
    t.comment(JSON.stringify({ drill: one.name, ...figures, ...shown(seen) }));
  });
}

/** Lets the timeline pass. Says how many records came into the ledger meanwhile, and what left the buffer. */
async function outage(
  world: DrillWorld,
  { timeline }: DrillCase,
): Promise<{ flowed: number; rowsDropMax: number }> {
  const startedMs = clock.monoMs();
  const begun = timeline.slice(0, -1);
  const over = timeline.at(-1);
  if (!over) throw new Error('a timeline has an end');
  let before = await world.recordsInLedger();
  for (const [i, { at, clouds }] of begun.entries()) {
    await clock.sleep(startedMs + at - clock.monoMs());
    await world.change(clouds);
    if (i > 0) continue;
    // For the records that were under way when the outage began.
    await clock.sleep(UNDER_WAY_MS);
    before = await world.recordsInLedger();
    world.observer.seen.rowsDropMax = 0;
  }
  await clock.sleep(startedMs + over.at - clock.monoMs());
  const flowed = (await world.recordsInLedger()) - before;
  const { rowsDropMax } = world.observer.seen;
  await world.change(over.clouds);
  return { flowed, rowsDropMax };
}

/** Milliseconds from the end of the outage until each cloud works again, from both ends. */
async function recovery(world: DrillWorld, { timeline }: DrillCase): Promise<Record<string, number>> {
  const startedMs = clock.monoMs();
  const struck = [...new Set(timeline.flatMap(({ clouds }) => Object.keys(clouds) as DrillCloud[]))];
  const [before, sourcesBefore] = await Promise.all([world.observer.status(), world.observer.router()]);
  const took: Record<string, number> = {};
  await Promise.all(
    struck.map(async (name) => {
      const accepted = before.providers.find((one) => one.name === name)?.accepted ?? 0;
      const received = sourcesBefore.sources.find((one) => one.name === name)?.received ?? 0;
      await until(`the gateway uses ${name} again`, async () => {
        const provider = (await world.observer.status()).providers.find((one) => one.name === name);
        return provider && provider.accepted > accepted && provider.fault === null;
      });
      took[`${name} at the gateway`] = Math.round(clock.monoMs() - startedMs);
      await until(`the router reads ${name} again`, async () => {
        const source = (await world.observer.router()).sources.find((one) => one.name === name);
        return source && source.received > received && source.lastError === null;
      });
      took[`${name} at the router`] = Math.round(clock.monoMs() - startedMs);
    }),
  );
  return took;
}

function judge(t: Test, { expect }: DrillCase, seen: Seen): void {
  for (const [name, causes] of Object.entries(expect.causes))
    for (const cause of causes) {
      t.ok(seen.causes.get(name)?.has(cause), `status names ${cause} of ${name}`);
      t.ok(seen.explained.get(name)?.has(cause), `explain names ${cause} of ${name}`);
    }
  for (const [name, patterns] of Object.entries(expect.errors))
    for (const pattern of patterns) {
      const errors = [...(seen.errors.get(name) ?? [])];
      const found = errors.some((error) => new RegExp(pattern).test(error));
      t.ok(found, `the router says ${pattern} of ${name}: ${errors.join(' | ')}`);
    }
  const wordless = [...seen.errors.values()]
    .flatMap((errors) => [...errors])
    .filter((error) => /\[object/.test(error));
  t.strictSame(wordless, [], 'every error has words');
  // Not the causes: a busy machine leaves a probe without an answer now and then.
  for (const name of expect.unnoticed)
    t.strictSame(
      [seen.errors.get(name), seen.opens.get(name), seen.left.get(name)],
      [undefined, undefined, undefined],
      `${name} goes on`,
    );
  for (const [name, most] of Object.entries(expect.opens_max)) {
    const opens = seen.opens.get(name) ?? 0;
    t.ok(opens <= most, `${name} opened ${opens} times, at most ${most}`);
  }
  for (const [name, { from, each_2s: most }] of Object.entries(expect.requests_max)) {
    const bins = (seen.requests.get(name) ?? []).slice(Math.ceil(from / BIN_MS));
    t.ok(Math.max(...bins) <= most, `requests of ${name}: ${bins.join(' ')}, at most ${most}`);
  }
}

function shown({ causes, errors, opens, left, requests, rowsMax }: Seen): object {
  const sets = (map: Map<string, Set<string>>): object =>
    Object.fromEntries([...map].map(([name, values]) => [name, [...values].slice(0, 6)]));
  const [opened, switches] = [Object.fromEntries(opens), Object.fromEntries(left)];
  return {
    causes: sets(causes),
    errors: sets(errors),
    opens: opened,
    switches,
    rowsMax,
    requests: Object.fromEntries(requests),
  };
}
