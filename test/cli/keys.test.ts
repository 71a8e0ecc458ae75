/** `headgate keys` on real files. */
import { createPublicKey } from 'node:crypto';
import { mkdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { parse } from 'yaml';
import { readPublicKeys } from '../../shared/signing/public-keys.ts';
import { keyIdOf } from '../../shared/signing/signature.ts';
import { command, folderWith, headgate } from './run.ts';

t.test('a key is made, shown, exported, replaced and removed', async (t) => {
  const dir = folderWith(t, {});
  const run = (...args: string[]) => command(['keys', ...args, '--data-dir', dir]);
  t.match(await run('export', '--gateway', 'gw-1'), { code: 1, stderr: /there is no key/ });
  const first = JSON.parse((await run('new', '--json')).stdout);
  t.equal(statSync(first.file).mode & 0o777, 0o600);
  t.equal(keyIdOf(createPublicKey(first.publicKey)), first.keyId);
  t.match(await run('show'), { code: 0, stdout: new RegExp(`^key ${first.keyId}\n-----BEGIN PUBLIC KEY`) });
  const made = await headgate(['keys', 'new', '--data-dir', dir]);
  t.match(made, { code: 0, stdout: /restart the agent/, stderr: '' });
  t.notMatch(made.stdout, /PRIVATE/);
  const [newest, oldest, ...others] = JSON.parse((await run('ls', '--json')).stdout);
  t.match([newest, oldest], [{ signs: true }, { signs: false, keyId: first.keyId }]);
  t.same(others, []);
  t.match(await run('export'), { code: 2, stderr: /--gateway/ });
  const exported = parse((await run('export', '--gateway', 'gw-1')).stdout);
  t.same(exported.gateways['gw-1'].public_keys, [newest.publicKey, oldest.publicKey]);
  t.match(await run('rm', newest.keyId), { code: 1, stderr: /the newest key, which signs/ });
  t.match(await run('rm', oldest.keyId), { code: 0 });
  t.match(await run('rm', oldest.keyId), { code: 1, stderr: /there is no key/ });
  t.equal(JSON.parse((await run('ls', '--json')).stdout).length, 1);
});

t.test('by its configuration: the gateway’s name, and a key that is kept elsewhere', async (t) => {
  const dir = folderWith(t, {});
  const file = join(dir, 'agent.yaml');
  const data = join(dir, 'data');
  mkdirSync(data);
  writeFileSync(file, `gateway: gw-7\ndata_dir: ${data}\n`);
  const run = (...args: string[]) => command(['keys', ...args, '--config', file]);
  const made = JSON.parse((await run('new', '--json')).stdout);
  t.same(Object.keys(parse((await run('export')).stdout).gateways), ['gw-7']);
  writeFileSync(file, `gateway: gw-7\ndata_dir: ${data}\nsigning: { key_file: ${made.file} }\n`);
  t.match(await run('new'), { code: 1, stderr: /signing.key_file is set/ });
  t.match(JSON.parse((await run('ls', '--json')).stdout), [
    { keyId: made.keyId, signs: true, file: made.file },
    {},
  ]);
  writeFileSync(file, `gateway: gw-7\ndata_dir: ${data}\nsigning: { key_file: ${join(dir, 'none')} }\n`);
  t.match(await run('ls'), { code: 78, stderr: /ENOENT/ });
});

t.test('of a router: its public keys are what agents read, with overlap', async (t) => {
  const dir = folderWith(t, {});
  const data = join(dir, 'data');
  const file = join(dir, 'router.yaml');
  mkdirSync(data);
  writeFileSync(file, `data_dir: ${data}\nsources: []\n`);
  const run = (...args: string[]) => command(['keys', ...args, '--config', file]);
  const first = JSON.parse((await run('new', '--json')).stdout);
  t.equal(statSync(first.file).mode & 0o777, 0o600);
  const made = await run('new');
  t.match(made, { code: 0, stdout: /router_keys_file.*restart the router/ });
  t.notMatch(made.stdout, /PRIVATE/);
  t.match(await run('show', first.keyId), { code: 0, stdout: /BEGIN PUBLIC KEY/ });
  const exported = (await run('export')).stdout;
  const read = readPublicKeys(exported);
  t.ok('keys' in read && read.keys.size === 2 && read.keys.has(first.keyId));
  t.equal((await command(['keys', 'export', '--data-dir', data, '--router'])).stdout, exported);
  t.equal(JSON.parse((await run('export', '--json')).stdout).router_keys.length, 2);
  t.match(await command(['keys', 'export', '--data-dir', data, '--router', '--gateway', 'gw-1']), {
    code: 2,
  });
  t.match(await run('rm', first.keyId), { code: 0 });
  t.equal(JSON.parse((await run('ls', '--json')).stdout).length, 1);
});

t.test('keys that open seals: of a router, with overlap, and not mixed with those that sign', async (t) => {
  const dir = folderWith(t, {});
  const file = join(dir, 'router.yaml');
  writeFileSync(file, `data_dir: ${join(dir, 'data')}\nsources: []\n`);
  const run = (...args: string[]) => command(['keys', ...args, '--seal', '--config', file]);
  t.match(await run('export'), { code: 1, stderr: /there is no seal key/ });
  const first = JSON.parse((await run('new', '--json')).stdout);
  t.match(first.file, /\/data\/seal-keys\/0001-[0-9a-f]{16}\.pem$/);
  t.equal(statSync(first.file).mode & 0o777, 0o600);
  t.equal(createPublicKey(first.publicKey).asymmetricKeyType, 'x25519');
  const made = await run('new');
  t.match(made, { code: 0, stdout: /headgate keys export --seal/ });
  t.notMatch(made.stdout, /PRIVATE/);
  const [newest, oldest] = JSON.parse((await run('ls', '--json')).stdout);
  t.match([newest, oldest], [{ isNewest: true }, { isNewest: false, keyId: first.keyId }]);
  t.same(parse((await run('export')).stdout), { router_seal_keys: [newest.publicKey] });
  t.match(await run('show', first.keyId), { code: 0, stdout: /^seal key .*\n-----BEGIN PUBLIC KEY/ });
  t.match(await run('rm', newest.keyId), { code: 1, stderr: /the newest key, which agents seal to/ });
  t.match(await run('rm', first.keyId), { code: 0 });
  t.match(await command(['keys', 'ls', '--config', file]), { code: 0, stdout: /^KEY\s+STATE\s+FILE\s*$/ });
});
