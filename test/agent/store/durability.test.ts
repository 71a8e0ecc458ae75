/** Acknowledged records survive SIGKILL, and no id comes twice (I1, I2). */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { systemEntropy } from '../../../shared/entropy.ts';
import { testDir } from '../../test-dir.ts';
import { bufferFile, contents, storeOn } from './fixture.ts';

const APPENDER = fileURLToPath(new URL('./appender.ts', import.meta.url));
const KILLS = 5;

/** Lines that the child wrote before it was killed; a torn last line was not acknowledged to anyone. */
async function linesUntilKilled(child: ChildProcess, afterChars: number): Promise<string[]> {
  let output = '';
  child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
    output += chunk;
    if (output.length >= afterChars) child.kill('SIGKILL');
  });
  await once(child, 'close');
  return output.split('\n').slice(0, -1);
}

t.test(`${KILLS} kills at random moments lose and double nothing that was acknowledged`, async (t) => {
  const file = bufferFile(testDir(t));
  const acknowledged = new Map<string, string>();
  const epochs: string[] = [];
  for (let kill = 0; kill < KILLS; kill++) {
    const child = spawn(process.execPath, [APPENDER, file], { stdio: ['ignore', 'pipe', 'inherit'] });
    const lines = await linesUntilKilled(child, systemEntropy.float() * 30_000);
    t.ok(lines.length > 0, `life ${kill + 1}: ${lines.length} acknowledged`);
    for (const line of lines) {
      const [, epoch = '', seq = '', payload = ''] = line.split(' ');
      const id = `${epoch}/${seq}`;
      if (acknowledged.has(id)) t.fail(`id given twice: ${id}`);
      acknowledged.set(id, payload);
      if (epochs.at(-1) !== epoch) epochs.push(epoch);
    }
  }
  t.equal(new Set(epochs).size, KILLS, 'every life is its own epoch');

  const { store } = storeOn(file);
  await store.start();
  const payloads = new Set<string>();
  let rows = 0;
  for (const epoch of epochs) {
    const found = await contents(store, epoch);
    const seqs = [...found.keys()];
    t.same(
      seqs,
      seqs.map((_, i) => i + 1),
      `${epoch}: a crash may leave rows that nobody was told of, but no hole`,
    );
    for (const [seq, payload] of found) {
      rows += 1;
      payloads.add(payload);
      const told = acknowledged.get(`${epoch}/${seq}`);
      if (told !== undefined && told !== payload) t.fail(`${epoch}/${seq} holds other content`);
      acknowledged.delete(`${epoch}/${seq}`);
    }
  }
  t.same([...acknowledged], [], 'every acknowledged record is there');
  t.equal(payloads.size, rows, 'no record is there twice');
  t.equal((await store.stats()).rows, rows);
  await store.stop();
});
