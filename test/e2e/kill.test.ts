import t from 'tap';
import { seededEntropy } from '../../shared/entropy.ts';
import { runDemo } from './run-demo.ts';

const KILLS = 20;
const DURATION_SECONDS = 70;

t.setTimeout(180_000);

t.test(
  `${KILLS} random SIGKILLs each of agent and router lose and double nothing (I1, I2, I3, I5)`,
  async (t) => {
    const seed = Number(process.env['HEADGATE_SEED'] ?? process.pid);
    t.comment(`HEADGATE_SEED=${seed} replays these kill points`);
    const entropy = seededEntropy(seed);
    const kills = ['agent', 'router'].flatMap((target) =>
      Array.from({ length: KILLS }, () => (2 + entropy.float() * (DURATION_SECONDS - 4)).toFixed(2))
        .toSorted((a, b) => Number(a) - Number(b))
        .flatMap((second) => ['--kill', `${target}@${second}`]),
    );
    const args = [
      '--duration',
      String(DURATION_SECONDS),
      '--rate',
      '150',
      '--devices',
      '6',
      '--seed',
      String(seed),
    ];
    const { exitCode, report, stderr } = await runDemo([...args, '--fault', 'aws:ack-lost@20-40', ...kills]);
    t.equal(exitCode, 0, stderr);
    t.match(report, {
      verdict: 'ok',
      missing: 0,
      duplicated_in_ledger: 0,
      conflicts: 0,
      residency_violations: 0,
    });
    t.ok((report?.acked ?? 0) > 1000, `${report?.acked} acknowledged`);
    t.comment(`${report?.device_retries} second records of publishes that devices sent again`);
  },
);
