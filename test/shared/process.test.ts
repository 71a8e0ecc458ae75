/** When a long-running process ends. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import t from 'tap';

const PROCESS = JSON.stringify(new URL('../../shared/process.ts', import.meta.url).href);

/** Runs a program with a channel to this process, closes the channel, and gives what it prints. */
async function whenLeftAlone(program: string): Promise<string> {
  const code = `import { stopSignal } from ${PROCESS};\n${program}`;
  const args = ['--input-type=module', '--eval', code];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit', 'ipc'] });
  if (!child.stdout) throw new Error('spawned without a pipe');
  const printed = text(child.stdout);
  await once(child, 'message');
  child.disconnect();
  return printed;
}

t.test('a parent that goes away ends it', async (t) => {
  const signal = await whenLeftAlone(`process.send('up'); console.log(await stopSignal());`);
  t.equal(signal, 'disconnect\n');
});

t.test('also one that went away while it was starting', async (t) => {
  const signal = await whenLeftAlone(
    `process.channel.ref();
    const gone = new Promise((resolve) => process.once('disconnect', resolve));
    process.send('up');
    await gone;
    console.log(await Promise.race([stopSignal(), new Promise((resolve) => setImmediate(resolve, 'nothing'))]));`,
  );
  t.equal(signal, 'disconnect\n');
});
