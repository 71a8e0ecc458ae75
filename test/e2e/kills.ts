/** The demo with its agent and its router killed again and again. */
import type { Test } from 'tap';
import { seededEntropy } from '../../shared/entropy.ts';
import { testSeed } from '../seed.ts';
import { runDemo } from './run-demo.ts';

export interface KillPlan {
  /** Each of the agent and of the router. */
  kills: number;
  durationSeconds: number;
  fault: string;
}

/** Kills both at random moments; nothing acknowledged may be lost, nothing be twice in the ledger. */
export async function surviveKills(t: Test, { kills, durationSeconds, fault }: KillPlan): Promise<void> {
  const seed = testSeed();
  t.comment(`HEADGATE_SEED=${seed} replays these kill points`);
  const entropy = seededEntropy(seed);
  const moments = ['agent', 'router'].flatMap((target) =>
    Array.from({ length: kills }, () => 2 + entropy.float() * (durationSeconds - 4))
      .toSorted((a, b) => a - b)
      .flatMap((second) => ['--kill', `${target}@${second.toFixed(2)}`]),
  );
  const { exitCode, report, stderr } = await runDemo([
    ...['--duration', String(durationSeconds), '--rate', '150', '--devices', '6', '--seed', String(seed)],
    ...['--fault', fault, ...moments],
  ]);
  t.equal(exitCode, 0, stderr);
  t.match(report, {
    verdict: 'ok',
    missing: 0,
    duplicated_in_ledger: 0,
    conflicts: 0,
    residency_violations: 0,
  });
  t.ok((report?.acked ?? 0) > 0, `${report?.acked} acknowledged`);
  t.comment(`${report?.device_retries} second records of publishes that devices sent again`);
}
