import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { command, folderWith, headgate } from './run.ts';

t.test('devices and groups, from nothing', async (t) => {
  const dir = folderWith(t, {});
  const file = join(dir, 'devices.json');
  const run = (...args: string[]) => command(['device', ...args, '--data-dir', dir]);
  t.match(await run('add', 'pump-1', '--group', 'pumps'), { code: 1, stderr: /there is no group "pumps"/ });
  t.notOk(existsSync(file));
  t.match(await run('group', 'add', 'pumps'), { code: 0, stdout: '', stderr: '' });
  t.match(await run('group', 'allow', 'pumps', 'publish', 'plant/%u/#'), { code: 0 });
  t.match(await run('group', 'allow', 'pumps', 'publish', 'plant/#/x'), {
    code: 1,
    stderr: /whole last level/,
  });

  const added = await run('add', 'pump-1', '--group', 'pumps');
  t.match(added, { code: 0, stdout: /^[\w-]{24}\n$/, stderr: '' });
  t.equal(statSync(file).mode & 0o777, 0o600);
  t.notOk(existsSync(`${file}.tmp`));
  t.notMatch(readFileSync(file, 'utf8'), added.stdout.trim());
  t.match(await run('add', 'pump-1'), { code: 1, stdout: '', stderr: /there is a device "pump-1" already/ });
  t.match(await run('add', 'a/b'), { code: 1, stderr: /expected 1–64/ });
  t.match(await run('add', 'cert', '--no-password'), { code: 0, stdout: '' });

  const given = await headgate(['device', 'add', 'pump-2', '--password-stdin', '--data-dir', dir], {
    input: 'long-enough\n',
  });
  t.match(given, { code: 0, stdout: '' }, 'a given password is not repeated');
  t.match(
    await command(['device', 'passwd', 'pump-2', '--password-stdin', '--data-dir', dir], {
      input: 'short\n',
    }),
    {
      code: 2,
    },
  );
  t.match(await run('passwd', 'pump-2'), { code: 0, stdout: /^[\w-]{24}\n$/ });
  t.match(await run('disable', 'pump-2'), { code: 0 });
  t.match(await run('allow', 'pump-2', 'both', 'x/#'), { code: 0 });
  t.match(await run('groups', 'pump-2', 'pumps'), { code: 0 });

  const listed = await run('ls', '--json');
  t.match(JSON.parse(listed.stdout), [
    { name: 'pump-1', groups: ['pumps'], disabled: false, hasPassword: true },
    { name: 'cert', hasPassword: false },
    { name: 'pump-2', groups: ['pumps'], disabled: true, rules: [{ allow: 'both', topic: 'x/#' }] },
  ]);
  t.notMatch(listed.stdout, /scrypt/);
  t.match(await run('ls'), { stdout: /^pump-2 +disabled +password +pumps +both x\/# /m });
  t.match(await run('group', 'ls'), { stdout: /^pumps +2 +publish plant\/%u\/#$/m });

  t.match(await run('enable', 'pump-2'), { code: 0 });
  t.match(await run('allow', 'pump-2', 'both', 'x/#', '--remove'), { code: 0 });
  t.match(await run('group', 'rm', 'pumps'), { code: 1, stderr: /device "pump-1" is in group "pumps"/ });
  t.match(await run('rm', 'pump-1'), { code: 0 });
  t.match(await run('rm', 'pump-1'), { code: 1, stderr: /there is no device "pump-1"/ });
  t.match(await run('groups', 'pump-2'), { code: 0 });
  t.match(await run('group', 'rm', 'pumps'), { code: 0 });
  t.match(JSON.parse(readFileSync(file, 'utf8')), {
    version: 1,
    devices: [{ name: 'cert' }, { name: 'pump-2', disabled: false, groups: [], rules: [] }],
    groups: [],
  });
});

t.test('the file is found by --config; one of the two flags is needed', async (t) => {
  const dir = folderWith(t, {});
  writeFileSync(
    join(dir, 'agent.yaml'),
    `gateway: gw\ndata_dir: ${dir}/data\nproviders: [{ name: g, type: gcp, project: p }]\n`,
  );
  t.match(await command(['device', 'add', 'pump-1', '--config', join(dir, 'agent.yaml')]), { code: 0 });
  t.ok(existsSync(join(dir, 'data', 'devices.json')));
  t.match(await command(['device', 'ls']), { code: 2, stderr: /--data-dir/ });
});

t.test('import: all or none, and no secret in a message', async (t) => {
  const dir = folderWith(t, {
    'good.csv': 'name,password,groups\r\npump-1,"long,enough",\r\n\r\npump-2,,\r\n',
    'short.csv': 'name,password\npump-3,long-enough\npump-4,hunter2\n',
    'twice.json': '[{"name":"pump-5"},{"name":"pump-5"}]',
    'broken.json': '[{"name":"pump-6","password":"hunter2hunter2"',
    'unknown.json': '[{"name":"pump-7","passwort":"hunter2hunter2"}]',
    'good.json': '[{"name":"pump-9","password":"long-enough"}]',
  });
  const run = (name: string) => command(['device', 'import', join(dir, name), '--data-dir', dir]);
  t.match(await run('good.csv'), { code: 0, stdout: /^name,password\npump-2,[\w-]{24}\n$/ });
  for (const name of ['short.csv', 'twice.json', 'broken.json', 'unknown.json']) {
    const { code, stdout, stderr } = await run(name);
    t.equal(code, 1, name);
    t.equal(stdout, '', name);
    t.notMatch(stderr, /hunter2/, name);
  }
  t.match(await run('good.json'), { code: 0, stdout: '' });
  const { devices } = JSON.parse(readFileSync(join(dir, 'devices.json'), 'utf8'));
  t.match(devices, [{ name: 'pump-1' }, { name: 'pump-2' }, { name: 'pump-9' }]);
});

t.test('a corrupt file is not written over, and a lock is respected', async (t) => {
  const dir = folderWith(t, { 'devices.json': '{' });
  t.match(await command(['device', 'add', 'x', '--data-dir', dir]), { code: 1, stdout: '' });
  t.match(await command(['device', 'ls', '--data-dir', dir]), { code: 1, stderr: /is corrupt/ });
  t.equal(readFileSync(join(dir, 'devices.json'), 'utf8'), '{');
  writeFileSync(join(dir, 'devices.json.tmp'), '');
  t.match(await command(['device', 'add', 'x', '--data-dir', dir]), {
    code: 1,
    stderr: /another command writes/,
  });
});
