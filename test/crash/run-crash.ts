/** `npm run crash` from a test; docs/explanation/durability.md has the figures of a long run. */
import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import type { Test } from 'tap';

const MAIN = fileURLToPath(new URL('./main.ts', import.meta.url));

/** Kills the agent `cycles` times; nothing acknowledged may be lost, no id be given twice. */
export async function surviveCrashes(t: Test, cycles: number): Promise<void> {
  const args = [MAIN, '--cycles', String(cycles), '--json'];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  const lines = (await text(child.stdout)).trim().split('\n');
  for (const line of lines) t.comment(line);
  t.equal(await ended, 0);
  const report = JSON.parse(lines.at(-1) ?? '{}');
  t.match(report, { cycles, lost: 0, duplicated_ids: 0, qos2_doubled: 0 });
  t.ok(report.acked > 0, `${report.acked} acknowledged`);
}
