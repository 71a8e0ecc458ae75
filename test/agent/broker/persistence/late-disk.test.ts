/** Sessions of before, when their disk is not there at the start and comes back later (I9). */
import { cpSync, existsSync, mkdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { ForwardClock } from '../../../forward-clock.ts';
import { testDir } from '../../../test-dir.ts';
import { until } from '../../../until.ts';
import { bufferFile, untilOpen } from '../../store/fixture.ts';
import { inbox, life } from './life.ts';

const WILL_GRACE_MS = 10_000;
const CLIENTS = ['display', 'panel', 'lamp'];

/**
 * A folder with the sessions of three offline clients, two retained messages, and the clients' queued
 * messages.
 */
async function disk(place: string): Promise<string> {
  const file = bufferFile(join(place, 'mount', 'data'));
  mkdirSync(join(place, 'mount'));
  const before = await life(file);
  for (const clientId of CLIENTS) {
    const client = await before.connect(clientId);
    await client.subscribeAsync(`to/${clientId}`, { qos: 1 });
    await client.endAsync();
  }
  const sender = await before.connect('sender', { clean: true });
  for (const clientId of CLIENTS) await sender.publishAsync(`to/${clientId}`, 'before', { qos: 1 });
  for (const name of ['kept', 'cleared', 'replaced'])
    await sender.publishAsync(`state/${name}`, 'old', { qos: 1, retain: true });
  await sender.endAsync();
  await before.stop();
  return file;
}

t.test('what is on the disk is taken over, unless it began anew meanwhile', async (t) => {
  const place = testDir(t);
  const file = await disk(place);
  renameSync(join(place, 'mount'), join(place, 'away'));
  const now = await life(file);
  t.equal(now.store.state(), 'missing');
  t.match(now.sessions.counts(), { sessions: 0, retained: 0 });

  // One client connects with a session, one without; the third stays away.
  const panel = await now.connect('panel');
  await panel.subscribeAsync('new/#', { qos: 1 });
  await (await now.connect('lamp', { clean: true })).endAsync();
  const sender = await now.connect('sender', { clean: true });
  await sender.publishAsync('state/replaced', 'new', { qos: 0, retain: true });
  await sender.publishAsync('state/cleared', '', { qos: 0, retain: true });
  await until('1 retained messages', () => now.sessions.counts().retained === 1);
  t.notOk(existsSync(join(place, 'mount')), 'nothing is begun in its place');

  renameSync(join(place, 'away'), join(place, 'mount'));
  await untilOpen(now.store);
  const counts = { sessions: 2, retained: 2, queuedMessages: 1 };
  t.match(now.sessions.counts(), counts, 'display is back, panel stays as it is, lamp is over');
  const all = inbox(sender);
  await sender.subscribeAsync('state/#', { qos: 1 });
  await until('2 messages arrive', () => all.length === 2);
  t.match(
    all.toSorted((a, b) => a.localeCompare(b)),
    [/^state\/kept old/, /^state\/replaced new/],
  );
  const display = await now.connect('display', { clean: false });
  const arrived = inbox(display);
  await until('0 queued messages', () => now.sessions.counts().queuedMessages === 0);
  await sender.publishAsync('to/display', 'after', { qos: 1 });
  await until('the later message arrives', () => arrived.some((one) => one.includes('after')));
  for (const client of [display, panel, sender]) await client.endAsync();
  await now.stop();

  const next = await life(file);
  const same = { sessions: 2, retained: 2, queuedMessages: 0 };
  t.match(next.sessions.counts(), same, 'and so it is on the disk');
  await next.stop();
});

t.test('wills of an agent that was killed are published once they are known', async (t) => {
  const place = testDir(t, { before: {}, away: {} });
  const before = await life(bufferFile(join(place, 'before')));
  const will = { topic: 'state/pump-1', payload: Buffer.from('gone'), qos: 1 as const, retain: false };
  const device = await before.connect('pump-1', { will });
  await before.sessions.flush();
  // The disk as a SIGKILL leaves it.
  cpSync(join(place, 'before'), join(place, 'away', 'data'), { recursive: true });
  await device.endAsync();
  await before.stop();

  const clock = new ForwardClock({ heldDelayMs: WILL_GRACE_MS });
  const now = await life(bufferFile(join(place, 'mount', 'data')), {}, clock);
  const reader = await now.connect('reader', { clean: true });
  const arrived = inbox(reader);
  await reader.subscribeAsync('state/#', { qos: 1 });
  // The timer of the start finds no will.
  clock.fireHeld();
  renameSync(join(place, 'away'), join(place, 'mount'));
  await untilOpen(now.store);
  await until('the sessions are restored', () => clock.held === 1);
  clock.fireHeld();
  await until('a message arrives', () => arrived.length === 1);
  t.match(arrived, [/^state\/pump-1 gone/]);
  t.match(now.taken, [{ device: 'pump-1', topic: 'state/pump-1' }], 'and recorded');
  await reader.endAsync();
  await now.stop();
});

t.test('a stop does not wait for a disk that never came', async (t) => {
  const place = testDir(t);
  const now = await life(bufferFile(join(place, 'gone', 'data')));
  await (await now.connect('display')).subscribeAsync('x', { qos: 1 });
  await now.stop();
  t.pass('it ends');
});
