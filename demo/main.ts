/**
 * `headgate demo`: real MQTT devices → a real agent → three loopback clouds over the vendors' SDKs → a real
 * router, with a cloud failing in the middle, and a verdict from the comparison of the devices' logs with the
 * ledger. Every part is its own process.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { openSqliteLedger } from '../router/ledger/sqlite/engine.ts';
import { type Clock, systemClock } from '../shared/clock.ts';
import { makeFolder } from '../shared/config/start-check.ts';
import { EXIT } from '../shared/exit-codes.ts';
import { createLogger, errorText } from '../shared/log.ts';
import { stopSignal } from '../shared/process.ts';
import { findFailovers, findGreyFailures } from './incidents.ts';
import { LiveView } from './live-view.ts';
import type { DemoOptions } from './options.ts';
import { RESIDENCY } from './plant.ts';
import { printReport, type Report } from './report.ts';
import { Scenario } from './scenario.ts';
import { compare } from './verdict.ts';

const SAMPLE_MS = 1000;
/** After the last publish, buffer and clouds drain: the wait ends after this long without progress. */
const STUCK_MS_MAX = 90_000;
/** With an empty buffer and an unchanged ledger for this long, missing records will not come. */
const STILL_MS = 4000;

/** Runs the demo; resolves with the exit code: 0 when the verdict is ok. */
export async function runDemo(options: DemoOptions): Promise<number> {
  const clock = systemClock;
  const view = new LiveView(process.stdout, options.json);
  view.say('headgate demo: starting three loopback clouds, a router and a gateway');
  const dir =
    options.keep === undefined ? await mkdtemp(join(tmpdir(), 'headgate-demo-')) : resolve(options.keep);
  await makeFolder('--keep', dir);
  const scenario = new Scenario(dir, options, clock);
  const interrupted = new AbortController();
  void stopSignal().then(() => interrupted.abort());
  process.once('exit', () => scenario.destroy());
  try {
    const report = await play(scenario, options, view, clock, dir, interrupted.signal);
    if (!report) {
      view.end();
      process.stderr.write('headgate demo: interrupted, nothing to judge\n');
      return EXIT.failed;
    }
    printReport(report, { json: options.json, kept: options.keep === undefined ? null : dir });
    return report.verdict === 'ok' ? EXIT.ok : EXIT.failed;
  } catch (error) {
    view.end();
    process.stderr.write(`headgate demo: ${errorText(error)}\n`);
    return EXIT.failed;
  } finally {
    view.end();
    await scenario.stop();
    if (options.keep === undefined) await rm(dir, { recursive: true, force: true });
  }
}

/** Resolves with null when the user interrupted the demo before there was anything to judge. */
async function play(
  scenario: Scenario,
  options: DemoOptions,
  view: LiveView,
  clock: Clock,
  dir: string,
  signal: AbortSignal,
): Promise<Report | null> {
  const startedMs = clock.monoMs();
  await scenario.start();
  view.say(`headgate demo: connecting ${options.devices} devices`);
  scenario.startDevices();
  await scenario.firstPublish(signal);
  const publishingSince = clock.monoMs();
  const elapsed = (): number => clock.monoMs() - publishingSince;
  scenario.schedule();
  while (!scenario.devicesDone && !signal.aborted) {
    await clock.sleep(SAMPLE_MS - (elapsed() % SAMPLE_MS), signal);
    view.show(await scenario.snapshot('publish', elapsed()));
  }
  if (signal.aborted) return null;
  await scenario.clearFaults();
  const drained = await drain(scenario, view, clock, elapsed, signal);
  while (options.hold && !signal.aborted) {
    await clock.sleep(SAMPLE_MS, signal);
    view.show(await scenario.snapshot('hold', elapsed()));
  }
  if (signal.aborted && !options.hold) return null;
  const last = await scenario.snapshot('check', elapsed());
  view.show(last);
  view.end();
  view.say("headgate demo: comparing the devices' own logs with the ledger");
  await scenario.stop();
  return judge(scenario, dir, last.providers, drained, Math.round((clock.monoMs() - startedMs) / 100) / 10);
}

/**
 * Waits until every acknowledged record is in the ledger, and the gateway knows it. Returns true when the
 * buffer is empty.
 */
async function drain(
  scenario: Scenario,
  view: LiveView,
  clock: Clock,
  elapsed: () => number,
  signal: AbortSignal,
): Promise<boolean> {
  let progress = '';
  let movedMs = clock.monoMs();
  while (clock.monoMs() - movedMs < STUCK_MS_MAX && !signal.aborted) {
    const snapshot = await scenario.snapshot('drain', elapsed());
    view.show(snapshot);
    const now = `${snapshot.backlog} ${snapshot.unconfirmed} ${snapshot.unsettled} ${snapshot.inLedger} ${snapshot.duplicatesReconciled}`;
    if (now !== progress) movedMs = clock.monoMs();
    progress = now;
    const still = snapshot.answered ? clock.monoMs() - movedMs : 0;
    if (
      snapshot.backlog === 0 &&
      snapshot.unconfirmed === 0 &&
      snapshot.unsettled === 0 &&
      (still >= STILL_MS || (snapshot.missing === 0 && still >= SAMPLE_MS))
    )
      return true;
    await clock.sleep(SAMPLE_MS / 2, signal);
  }
  return false;
}

async function judge(
  scenario: Scenario,
  dir: string,
  providers: ReadonlyArray<{ name: string; accepted: number; predictedUnits: number; meteredUnits: number }>,
  drained: boolean,
  seconds: number,
): Promise<Report> {
  const log = createLogger({ level: 'silent', levels: {} });
  const ledger = await openSqliteLedger({ file: scenario.ledgerFile, clock: systemClock, log });
  try {
    const found = await compare(scenario.deviceLogs, ledger, RESIDENCY);
    const totals = await ledger.totals();
    const violations = found.residencyViolations + scenario.residencyViolations();
    const ok =
      drained &&
      found.acked > 0 &&
      found.missing === 0 &&
      found.duplicatedInLedger === 0 &&
      totals.conflicts === 0 &&
      violations === 0 &&
      scenario.crashes.length === 0;
    return {
      verdict: ok ? 'ok' : 'failed',
      acked: found.acked,
      delivered: found.delivered,
      missing: found.missing,
      duplicated_in_ledger: found.duplicatedInLedger,
      duplicates_reconciled: totals.duplicates,
      device_retries: found.deviceRetries,
      conflicts: totals.conflicts,
      residency_violations: violations,
      failovers: await findFailovers(join(dir, 'agent.log'), scenario.appliedFaults),
      grey_failures: await findGreyFailures(join(dir, 'agent.log'), scenario.appliedFaults),
      per_provider: Object.fromEntries(
        providers.map((p) => [
          p.name,
          { accepted: p.accepted, predicted_units: p.predictedUnits, metered_units: p.meteredUnits },
        ]),
      ),
      seconds,
      crashes: scenario.crashes,
    };
  } finally {
    await ledger.close();
  }
}
