/**
 * Wills of an agent that was killed: after its restart they go the way that their devices' publishes would go
 * now.
 */

import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { type Device, editDeviceFile } from '../../../agent/broker/access/device-file.ts';
import { Devices } from '../../../agent/broker/access/devices.ts';
import { Intake, type Publish } from '../../../agent/broker/intake.ts';
import type { Sessions } from '../../../agent/broker/persistence/sessions.ts';
import { systemClock } from '../../../shared/clock.ts';
import { createLogger } from '../../../shared/log.ts';
import { ForwardClock } from '../../forward-clock.ts';
import { testDir } from '../../test-dir.ts';
import { until } from '../../until.ts';
import { type LogLine, record, storeOn } from '../store/fixture.ts';
import { device, loggedIn, login } from './access/devices-fixture.ts';
import { SILENT, sessionsOn, startBroker } from './fixture.ts';

const WILL_GRACE_MS = 10_000;

interface World {
  /** Text: written as it is. */
  devices: Device[] | string;
  allowAnonymous?: boolean;
  localTopics?: string[];
  maxTopicLevels?: number;
}

interface Life {
  port: number;
  sessions: Sessions;
  taken: Publish[];
  refused: LogLine[];
  /** The time for devices to come back is over. */
  endGrace(): void;
  /** Ends as by SIGKILL: the next life has the file as it was then. */
  kill(nextDir: string): Promise<void>;
}

async function life(t: Test, dir: string, world: World): Promise<Life> {
  const { devices: content, allowAnonymous = false, localTopics = [], maxTopicLevels = 32 } = world;
  mkdirSync(dir, { recursive: true });
  const file = join(dir, 'devices.json');
  if (typeof content === 'string') writeFileSync(file, content);
  else await editDeviceFile(file, () => ({ version: 1, devices: content, groups: [] }));
  const devices = new Devices({ file, clock: systemClock, log: SILENT });
  await devices.start();
  const { store } = storeOn(join(dir, 'buffer.db'));
  await store.start();
  const sessions = sessionsOn(store);
  const taken: Publish[] = [];
  const refused: LogLine[] = [];
  const streams = [{ name: 'telemetry', filters: ['#'] }];
  const intake = new Intake({ store, streams, clock: systemClock, log: SILENT });
  const clock = new ForwardClock({ heldDelayMs: WILL_GRACE_MS });
  const { broker, port } = await startBroker(
    (publish, settled) => {
      taken.push(publish);
      intake.take(publish, settled);
    },
    {
      sessions,
      devices,
      clock,
      allowAnonymous,
      localTopics,
      limits: { maxTopicLevels },
      log: createLogger({ level: 'warn', levels: {} }, { write: (line) => refused.push(JSON.parse(line)) }),
    },
  );
  let isOver = false;
  const stop = async (): Promise<void> => {
    if (isOver) return;
    isOver = true;
    await broker.stop();
    await store.stop();
    await devices.stop();
  };
  t.teardown(stop);
  return {
    port,
    sessions,
    taken,
    refused,
    endGrace() {
      t.equal(clock.held, 1, 'wills are waited for');
      clock.fireHeld();
    },
    async kill(nextDir) {
      await sessions.flush();
      // After the messages that were already on their way.
      await store.append(record('last'));
      mkdirSync(nextDir, { recursive: true });
      for (const name of ['buffer.db', 'buffer.db-wal']) copyFileSync(join(dir, name), join(nextDir, name));
      await stop();
    },
  };
}

function will(topic: string, text = 'gone') {
  return { will: { topic, payload: Buffer.from(text), qos: 1 as const, retain: false } };
}

const DISPLAY = device('display', { rules: [{ allow: 'subscribe', topic: '#' }] });

function free(name: string, rest: Partial<Device> = {}): Device {
  return device(name, { rules: [{ allow: 'publish', topic: '#' }], ...rest });
}

t.test('a will goes the way of a publish: recorded, local, or not at all', async (t) => {
  const place = testDir(t);
  const names = ['kept', 'local', 'removed', 'disabled', 'forbidden', 'deep'];
  const first = await life(t, join(place, '1'), {
    devices: names.map((name) => free(name)),
    allowAnonymous: true,
  });
  for (const name of names) {
    const topic = name === 'deep' ? 'a/b/c/d' : `${name}/state`;
    await loggedIn(t, name, { port: first.port, ...will(topic) });
  }
  for (const [clientId, topic] of [
    ['stray', '$SYS/state'],
    ['nobody', 'nobody/state'],
  ] as const)
    t.type(await login(t, { port: first.port, clientId, ...will(topic) }), 'object');
  await first.kill(join(place, '2'));

  const second = await life(t, join(place, '2'), {
    devices: [
      DISPLAY,
      free('kept'),
      free('local'),
      free('disabled', { disabled: true }),
      device('forbidden'),
      free('deep'),
    ],
    localTopics: ['local/#'],
    maxTopicLevels: 3,
  });
  t.equal(second.sessions.ownerlessWills().length, 8);
  const display = await loggedIn(t, 'display', { port: second.port });
  const arrived: string[] = [];
  display.on('message', (topic, payload) => arrived.push(`${topic} ${payload}`));
  await display.subscribeAsync('#', { qos: 1 });
  second.endGrace();
  await until('no will is left', () => second.sessions.ownerlessWills().length === 0 && arrived.length >= 2);
  t.same(new Set(arrived), new Set(['kept/state gone', 'local/state gone']));
  t.match(second.taken, [{ device: 'kept', topic: 'kept/state', qos: 1 }]);
  t.equal(second.taken.length, 1, 'what is local is not recorded');
  const said = second.refused.filter(({ event, what }) => event === 'broker.refused' && what === 'will');
  // Each reason once in ten seconds.
  t.same(
    new Set(said.map(({ reason }) => reason)),
    new Set(['reserved-topic', 'topic-limit', 'will-not-allowed']),
  );
  await second.kill(join(place, '3'));
  const third = await life(t, join(place, '3'), { devices: [] });
  t.equal(third.sessions.ownerlessWills().length, 0, 'each is over once');
});

t.test('whoever comes back in time has no will published', async (t) => {
  const place = testDir(t);
  const devices = [free('pump'), free('lost')];
  const first = await life(t, join(place, '1'), { devices });
  for (const name of ['pump', 'lost'])
    await loggedIn(t, name, { port: first.port, ...will(`${name}/state`) });
  await first.kill(join(place, '2'));
  const second = await life(t, join(place, '2'), { devices });
  await loggedIn(t, 'pump', { port: second.port, ...will('pump/state', 'later') });
  second.endGrace();
  await until('no will is left', () => second.sessions.ownerlessWills().length === 0);
  t.match(
    second.taken.map(({ topic }) => topic),
    ['lost/state'],
  );
});

t.test('a device that was removed and added again under its name inherits no will', async (t) => {
  const place = testDir(t);
  const first = await life(t, join(place, '1'), {
    devices: [free('pump'), free('same'), free('gone')],
    allowAnonymous: true,
  });
  for (const name of ['pump', 'same', 'gone'])
    await loggedIn(t, name, { port: first.port, ...will(`${name}/state`) });
  const stray = { clientId: 'later', ...will('later/state') };
  t.type(await login(t, { port: first.port, ...stray }), 'object');
  await first.kill(join(place, '2'));
  const second = await life(t, join(place, '2'), {
    devices: [free('pump', { created: '2026-02-02T00:00:00Z' }), free('same'), free('later')],
    allowAnonymous: true,
  });
  second.endGrace();
  await until('no will is left', () => second.sessions.ownerlessWills().length === 0);
  t.same(
    second.taken.map(({ topic }) => topic),
    ['same/state'],
    'nor does a device that has the id of an anonymous client, or an anonymous client that of a device',
  );
});

t.test('while the device file is damaged, a will waits for the next start', async (t) => {
  const place = testDir(t);
  const first = await life(t, join(place, '1'), { devices: [free('pump')] });
  await loggedIn(t, 'pump', { port: first.port, ...will('pump/state') });
  await first.kill(join(place, '2'));
  const second = await life(t, join(place, '2'), { devices: '{' });
  second.endGrace();
  await until('the will is refused', () =>
    second.refused.some(({ reason }) => reason === 'will-not-allowed'),
  );
  t.equal(second.taken.length, 0);
  await second.kill(join(place, '3'));
  const third = await life(t, join(place, '3'), { devices: [free('pump')] });
  third.endGrace();
  await until('the will is recorded', () => third.taken.length === 1);
});
