/**
 * `config check --connect` of both programs against the loopback clouds: the phases that pass, the phase that
 * fails with its option, and messages that stay for the router.
 */
import { spawn } from 'node:child_process';
import dns from 'node:dns';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { PassThrough, Readable, Writable } from 'node:stream';
import t from 'tap';
import { run } from '../../cli/program.ts';
import type { Terminal } from '../../cli/terminal.ts';
import { BIN, command, folderWith, headgate } from './run.ts';

const LONG_MS = 120_000;

t.test('every connection is tried, phase by phase, and each names what fails', async (t) => {
  const dir = folderWith(t, {});
  const args = ['-u', 'NODE_OPTIONS', process.execPath, BIN, 'clouds', '--control-port', '0'];
  const child = spawn('env', [...args, '--dir', dir, '--json'], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(child, 'close');
  t.teardown(() => {
    child.kill('SIGTERM');
    return ended;
  });
  const [line] = await once(createInterface({ input: child.stdout }), 'line');
  const { control } = JSON.parse(String(line));
  const [agent, router] = [join(dir, 'agent.yaml'), join(dir, 'router.yaml')];
  const check = (file: string, ...flags: string[]) =>
    command(['config', 'check', '--connect', ...flags, file]);

  await t.test('nothing waits before the first record', async (t) => {
    const { code, stdout } = await check(router);
    t.equal(code, 0, stdout);
    t.match(stdout, 'sources.aws: resolve, connect, tls, login, read, ok (no message waited)\n');
    t.match(stdout, 'sources.azure: resolve, connect, tls, login, read, ok (no event waited)\n');
    t.match(stdout, 'sources.gcp: resolve, connect, tls, login, read, ok (no message waited)\n');
    t.match(stdout, 'ledger: open, ok (no ledger yet: the router will make it)\n');
    t.match(stdout, 'feeds.stdout: write, ok (stdout)\n');
  });

  await t.test('every provider takes a heartbeat; progress goes to stderr', async (t) => {
    const asUser = headgate(['config', 'check', '--connect', agent], { timeoutMs: LONG_MS });
    const { code, stdout, stderr } = await asUser;
    t.equal(code, 0, stdout);
    for (const name of ['aws', 'azure', 'gcp']) {
      t.match(stdout, `providers.${name}: resolve, connect, tls, publish, ok\n`);
      t.match(stderr, new RegExp(`^providers\\.${name}: tls \\d+ ms$`, 'm'));
    }
  });

  await t.test('a message is read and stays for the router', async (t) => {
    const { stdout } = await check(router);
    t.match(stdout, /^sources\.aws: .*, ok \(a message was read and given back: its delivery 1\)$/m);
    t.match(stdout, /^sources\.azure: .*, ok \(an event of partition \d was read; no position moved\)$/m);
    t.match(stdout, /^sources\.gcp: .*, ok \(a message was read and given back: its delivery 1\)$/m);
    const again = await check(router, '--json');
    const entries: unknown = JSON.parse(again.stdout);
    t.match(entries, [
      { entry: 'sources.aws', passed: { 4: { note: 'a message was read and given back: its delivery 2' } } },
      { entry: 'sources.azure', passed: { 4: { note: /was read/ } }, problem: null },
      { entry: 'sources.gcp', passed: { 4: { note: 'a message was read and given back: its delivery 2' } } },
      { entry: 'ledger', type: 'sqlite', problem: null },
      { entry: 'feeds.stdout', type: 'ndjson' },
    ]);
  });

  await t.test('refused credentials', async (t) => {
    await command(['clouds', 'fault', 'aws:unauthorized', '--control', control]);
    const { code, stdout } = await check(agent);
    t.equal(code, 1);
    t.match(
      stdout,
      /^providers\.aws: resolve, connect, tls, publish: rejected \(unauthorized\): .*\n {2}option: providers\.aws\.credentials\n {2}fix: /m,
    );
    t.match(stdout, 'providers.gcp: resolve, connect, tls, publish, ok\n');
  });

  await t.test('each phase of a source fails by its own option, without a secret', async (t) => {
    const text = readFileSync(router, 'utf8');
    const changed = text
      .replace(/SharedAccessKey=[^;\n]{8}/, 'SharedAccessKey=AAAAAAAA')
      .replace(/secret_access_key: .*/, 'secret_access_key: topsecretvalue')
      .replace(/subscription: .*/, 'subscription: nowhere')
      .replace(/file: "?-"?/, 'file: /nowhere/records.ndjson');
    const file = join(dir, 'wrong.yaml');
    writeFileSync(file, changed);
    const { code, stdout, stderr } = await check(file);
    t.equal(code, 78, 'a missing folder is a mistake of the file');
    writeFileSync(file, changed.replace('file: /nowhere/records.ndjson', 'file: "-"'));
    const { code: failed, stdout: told, stderr: progress } = await check(file);
    t.equal(failed, 1, told);
    t.match(
      told,
      /^sources\.aws: resolve, connect, tls, login: HTTP 403 .*\n {2}option: sources\.aws\.credentials$/m,
    );
    t.match(
      told,
      /^sources\.azure: .*tls, login: .*\n {2}option: sources\.azure\.credentials\.connection_string$/m,
    );
    t.match(told, /^sources\.gcp: .*tls, login: .*\n {2}option: sources\.gcp\.subscription$/m);
    for (const out of [stdout, stderr, told, progress]) t.notMatch(out, /topsecret|AAAAAAAA|PRIVATE KEY/);
  });
});

t.test('names are looked up as the programs do, for as long as the check runs', async (t) => {
  const dir = folderWith(t, {});
  const file = join(dir, 'router.yaml');
  const source = '{ name: broker, type: mqtt, url: "mqtt://localhost:1" }';
  writeFileSync(file, `data_dir: ${dir}\nsources: [${source}]\n`);
  const { lookup } = dns;
  const during: boolean[] = [];
  const stderr = new Writable({
    write(_chunk, _encoding, done) {
      during.push(dns.lookup !== lookup);
      done();
    },
  });
  const terminal: Terminal = { stdin: Readable.from([]), stdout: new PassThrough(), stderr, env: {} };
  await run(['node', 'headgate', 'config', 'check', '--connect', file], terminal);
  t.equal(terminal.exitCode, 1);
  t.same(during, [true, true, true], 'resolve, connect, and the ledger');
  t.equal(dns.lookup, lookup);
});
