/** `npm run crash` in short; docs/explanation/durability.md has the figures of a long run. */
import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import t from 'tap';

const CYCLES = 20;
const MAIN = fileURLToPath(new URL('./main.ts', import.meta.url));

t.setTimeout(110_000);

async function run(args: readonly string[]): Promise<{ exitCode: number | null; stdout: string }> {
  const child = spawn(process.execPath, [MAIN, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  return { stdout: await text(child.stdout), exitCode: await ended };
}

t.test(`${CYCLES} SIGKILLs of the agent under load lose nothing and give no id twice (I1, I2)`, async (t) => {
  const { exitCode, stdout } = await run(['--cycles', String(CYCLES), '--json']);
  const lines = stdout.trim().split('\n');
  for (const line of lines) t.comment(line);
  t.equal(exitCode, 0);
  const report = JSON.parse(lines.at(-1) ?? '{}');
  t.match(report, { cycles: CYCLES, lost: 0, duplicated_ids: 0, qos2_doubled: 0 });
  t.ok(report.acked > 500, `${report.acked} acknowledged`);
});
