import { createHook } from 'node:async_hooks';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { editDeviceFile } from '../../../../agent/broker/access/device-file.ts';
import { Devices } from '../../../../agent/broker/access/devices.ts';
import { hashPassword } from '../../../../agent/broker/access/password.ts';
import { systemEntropy } from '../../../../shared/entropy.ts';
import { createLogger } from '../../../../shared/log.ts';
import { ManualClock } from '../../../manual-clock.ts';
import { testDir } from '../../../test-dir.ts';
import { until } from '../../../until.ts';
import { device, HASH, loggedIn, login, PASSWORD, startGated } from './devices-fixture.ts';

t.test('a device logs in with its password, its name and no other client id', async (t) => {
  const { port, broker, lines } = await startGated(t, {
    devices: [device('pump-1'), device('off', { disabled: true }), device('cert', { password: undefined })],
  });
  const tried = (clientId: string, username: string | undefined, password?: string) =>
    login(t, {
      port,
      clientId,
      ...(username === undefined ? {} : { username }),
      ...(password === undefined ? {} : { password }),
    });
  for (const clientId of ['pump-1', 'pump-1/spare']) {
    t.type(await tried(clientId, 'pump-1', PASSWORD), 'object', clientId);
  }
  t.equal(await tried('pump-1', 'pump-1', 'wrong-password'), 4);
  t.equal(await tried('pump-1', 'pump-1'), 4, 'no password');
  t.equal(await tried('pump-2', 'pump-2', PASSWORD), 4, 'unknown');
  t.equal(await tried('cert', 'cert', PASSWORD), 4, 'a device without a password');
  t.equal(await tried('off', 'off', PASSWORD), 5, 'disabled');
  t.equal(await tried('off', 'off', 'wrong-password'), 4, 'which only its password finds out');
  t.equal(await tried('any', undefined), 5, 'anonymous');
  for (const clientId of ['pump-2', 'pump-1x', 'pump-1/', 'pump-1/+', 'pump-1/a/b', 'PUMP-1']) {
    t.equal(await tried(clientId, 'pump-1', PASSWORD), 2, clientId);
  }
  t.match(broker.stats().refusals, { 'bad-credentials': 5, disabled: 1, anonymous: 1, 'client-id': 6 });
  const log = lines.join('');
  t.notMatch(log, PASSWORD);
  t.notMatch(log, 'wrong-password');
  t.notMatch(log, HASH);
});

t.test('an unknown device costs what a wrong password costs; a right one is remembered', async (t) => {
  const { port } = await startGated(t, { devices: [device('pump-1'), device('pump-2')] });
  let hashes = 0;
  const counter = createHook({
    init: (_id, type) => {
      if (type === 'SCRYPTREQUEST') hashes += 1;
    },
  });
  counter.enable();
  t.teardown(() => counter.disable());
  const hashesFor = async (name: string, password: string): Promise<number> => {
    const before = hashes;
    await login(t, { port, clientId: name, username: name, password });
    return hashes - before;
  };
  t.equal(await hashesFor('pump-1', PASSWORD), 1);
  t.equal(await hashesFor('pump-1', PASSWORD), 0, 'a right password is computed once');
  for (const [name, password] of [
    ['pump-1', 'wrong-password'],
    ['nobody', 'wrong-password'],
    ['pump-2', PASSWORD],
  ] as const) {
    t.equal(await hashesFor(name, password), 1, `${name} costs a scrypt`);
  }
});

t.test('a name with ten failed logins is refused there; others behind the address are not', async (t) => {
  const { port, broker } = await startGated(t, { devices: [device('pump-1'), device('pump-2')] });
  const tried = (password: string) => login(t, { port, clientId: 'pump-1', username: 'pump-1', password });
  const results = await Promise.all(Array.from({ length: 15 }, (_, i) => tried(`wrong-password-${i}`)));
  t.ok(results.every((result) => result === 4 || result === 5));
  const { refusals } = broker.stats();
  t.ok((refusals['bad-credentials'] ?? 0) <= 11, 'a burst gets no more tries');
  const refusedBefore = refusals['login-limit'] ?? 0;
  t.equal(await tried(PASSWORD), 5);
  await loggedIn(t, 'pump-2', { port });
  t.equal(broker.stats().refusals['login-limit'], refusedBefore + 1);
});

t.test('only the device itself takes over its connection', async (t) => {
  const { port } = await startGated(
    t,
    { devices: [device('pump-1'), device('pump-2')] },
    { allowAnonymous: true },
  );
  const first = await loggedIn(t, 'pump-1', { port });
  t.equal(await login(t, { port, clientId: 'pump-1', username: 'pump-2', password: PASSWORD }), 2);
  for (const clientId of ['pump-1', 'pump-1/x'])
    t.type(await login(t, { port, clientId }), 'object', 'an anonymous client is taken, as another one');
  t.ok(first.connected);
  const second = await loggedIn(t, 'pump-1', { port });
  await until('the broker ends the connection of first', () => !first.connected);
  t.ok(second.connected);
});

t.test('anonymous clients, where they are allowed, may do what they could', async (t) => {
  const { port, taken } = await startGated(t, { devices: [device('pump-1')] }, { allowAnonymous: true });
  const client = await login(t, { port, clientId: 'anyone' });
  if (typeof client === 'number') throw new Error(`refused with ${client}`);
  t.match(await client.subscribeAsync('#', { qos: 1 }), [{ qos: 1 }]);
  await client.publishAsync('plant/1', 'x', { qos: 1 });
  t.match(taken, [{ device: 'anyone', topic: 'plant/1' }]);
  t.equal(
    await login(t, { port, clientId: 'pump-1', username: 'pump-1', password: 'wrong-password' }),
    4,
    'whoever names a device is checked',
  );
});

t.test('the file is followed: added, given a new password, disabled and removed while it runs', async (t) => {
  const { port, write, devices, broker } = await startGated(t, { devices: [device('stays')] });
  const stays = await loggedIn(t, 'stays', { port });
  const changed = async (content: Parameters<typeof write>[0]): Promise<void> => {
    const { revision } = devices;
    await write(content);
    await until('the device file is read again', () => devices.revision > revision);
  };
  const pump = (rest = {}) => ({ devices: [device('stays'), device('pump-1', rest)] });
  t.equal(await login(t, { port, clientId: 'pump-1', username: 'pump-1', password: PASSWORD }), 4);
  await changed(pump());
  let client = await loggedIn(t, 'pump-1', { port });
  const password = await hashPassword('another-password', systemEntropy);
  await changed(pump({ password }));
  await until('the broker ends the connection', () => !client.connected);
  t.equal(await login(t, { port, clientId: 'pump-1', username: 'pump-1', password: PASSWORD }), 4);
  client = await loggedIn(t, 'pump-1', { port, password: 'another-password' });
  await changed(pump({ password, disabled: true }));
  await until('the broker ends the connection', () => !client.connected);
  await changed(pump());
  client = await loggedIn(t, 'pump-1', { port });
  await changed(pump({ created: '2026-02-02T00:00:00Z' }));
  await until('the connection of the one before ends', () => !client.connected);
  client = await loggedIn(t, 'pump-1', { port });
  await changed({ devices: [device('stays')] });
  await until('the broker ends the connection', () => !client.connected);
  t.ok(stays.connected);
  await until('1 connections', () => broker.stats().connections === 1);
});

t.test('a change of the file is known at once, without the next look at it', async (t) => {
  const file = join(testDir(t), 'devices.json');
  const put = async (...names: string[]): Promise<void> => {
    const devices = names.map((name) => device(name));
    t.match(await editDeviceFile(file, () => ({ version: 1, devices, groups: [] })), { ok: true });
  };
  await put('first');
  // Its second never passes.
  const log = createLogger({ level: 'silent', levels: {} });
  const devices = new Devices({ file, clock: new ManualClock(), log });
  await devices.start();
  t.teardown(() => devices.stop());
  for (const name of ['second', 'third']) {
    const changed = new Promise<void>((resolve) => devices.onChange(resolve));
    await put('first', name);
    await changed;
    t.ok(devices.get(name), name);
  }
});

t.test('a corrupt or missing file is said, and the last good one stays in force (I8, I9)', async (t) => {
  const { port, file, lines, broker, write } = await startGated(t, { devices: [device('pump-1')] });
  t.equal(broker.stats().deviceFile, 'ok');
  for (const text of ['{ "devices": "$scrypt$', '{"version":1,"devices":[{"name":"a/b"}],"groups":[]}']) {
    writeFileSync(file, text);
    await until('the device file is corrupt', () => broker.stats().deviceFile === 'corrupt');
    await loggedIn(t, 'pump-1', { port });
    await write({ devices: [device('pump-1')] }).then(
      () => t.fail('a corrupt file is not written over'),
      () => t.pass(),
    );
    writeFileSync(file, JSON.stringify({ version: 1, devices: [device('pump-1')], groups: [] }));
    await until('the device file is ok', () => broker.stats().deviceFile === 'ok');
  }
  t.ok(lines.some((line) => /"level":"error".*broker\.device_file.*"state":"corrupt"/.test(line)));
  t.notMatch(lines.join(''), /\$scrypt\$/);
});
