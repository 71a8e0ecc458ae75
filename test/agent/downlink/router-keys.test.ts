/** The routers' public keys, from agent.yaml and from a file that changes. */
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { stringify } from 'yaml';
import { loadAgentConfig } from '../../../agent/config/config.ts';
import { RouterKeys, receiptTrustSchema } from '../../../agent/downlink/router-keys.ts';
import { formatProblems } from '../../../shared/config/load.ts';
import { scrub } from '../../../shared/config/redact.ts';
import { createLogger } from '../../../shared/log.ts';
import { keyIdOf } from '../../../shared/signing/signature.ts';
import { ManualClock } from '../../manual-clock.ts';
import { testDir } from '../../test-dir.ts';
import { asTimePasses } from '../../until.ts';

const [first, second] = [generateKeyPairSync('ed25519'), generateKeyPairSync('ed25519')];
const POLL_MS = 5000;

function pem(key: KeyObject): string {
  return String(key.export({ type: key.type === 'private' ? 'pkcs8' : 'spki', format: 'pem' }));
}

async function open(t: Test, receipts: object, downlinks: unknown[] = [{}]) {
  const clock = new ManualClock();
  const lines: string[] = [];
  const log = createLogger({ level: 'info', levels: {} }, { write: (line) => lines.push(line) });
  const keys = new RouterKeys({ receipts: receiptTrustSchema.parse(receipts), downlinks }, { clock, log });
  await keys.start();
  t.teardown(() => keys.stop());
  return { keys, clock, lines };
}

t.test('keys of the file are in force from its change on; a bad file changes nothing', async (t) => {
  const file = join(testDir(t), 'router-keys.pem');
  const { keys, clock, lines } = await open(t, { accept: 'signed', router_keys_file: file });
  t.same(keys.ids, [], 'without the file no key is known, and the agent runs (I9)');
  t.equal(lines.length, 1);
  t.match(JSON.parse(lines[0] ?? ''), { event: 'receipts.keys_not_read', problem: /ENOENT/ });
  const changed = async (content: string, what: () => boolean): Promise<void> => {
    writeFileSync(file, content);
    await asTimePasses(clock, POLL_MS, 'the file is read', what);
  };
  await changed(`first\n${pem(first.publicKey)}`, () => keys.ids.length === 1);
  t.ok(keys.keyOf(keyIdOf(first.publicKey))?.equals(first.publicKey));
  await changed(`${pem(first.publicKey)}\n# next\n${pem(second.publicKey)}`, () => keys.ids.length === 2);
  for (const content of ['', 'no key', pem(second.privateKey), `${pem(p256())}${pem(first.publicKey)}`]) {
    const before = lines.length;
    await changed(content, () => lines.length > before);
    t.match(JSON.parse(lines.at(-1) ?? ''), { event: 'receipts.keys_not_read', inForce: 2 });
    await changed(pem(first.publicKey) + pem(second.publicKey), () => /keys_read/.test(lines.at(-1) ?? ''));
  }
  t.notMatch(lines.join(), /BEGIN|MC4C/, 'no line quotes the file');
  rmSync(file);
  await asTimePasses(clock, POLL_MS, 'the missing file is told', () => /ENOENT/.test(lines.at(-1) ?? ''));
  t.equal(keys.ids.length, 2);
});

function p256(): KeyObject {
  return generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).publicKey;
}

t.test('a configuration from before takes any receipt, and says so once; others do not', async (t) => {
  const old = await open(t, {});
  t.equal(old.keys.accept, 'any');
  t.match(JSON.parse(old.lines[0] ?? ''), { event: 'receipts.accepts_unsigned' });
  t.equal((await open(t, {}, [])).lines.length, 0, 'without downlinks there are no receipts');
  t.equal((await open(t, { accept: 'any' })).lines.length, 0);
  const given = await open(t, { accept: 'signed', router_keys: [pem(first.publicKey)] });
  t.same([given.keys.accept, given.keys.ids], ['signed', [keyIdOf(first.publicKey)]]);
});

t.test('mistakes are found before the start', async (t) => {
  const router_keys = [pem(first.publicKey)];
  for (const [wrong, message] of [
    [{ accept: 'signed' }, /no key is known/],
    [{ router_keys, router_keys_file: '/k' }, /both given/],
    [{ router_keys: [pem(first.privateKey)] }, /not an Ed25519 public key/],
    [{ router_keys: [pem(p256())] }, /not an Ed25519 public key/],
    [{ router_keys: ['x'] }, /no public key in PEM/],
    [{ accept: 'some' }, /signed/],
  ] as const) {
    const parsed = receiptTrustSchema.safeParse(wrong);
    t.match(parsed.error?.message, message);
    t.notMatch(String(parsed.error?.message), /BEGIN|MC4C/);
  }
});

t.test('a private key in their place is in no message', async (t) => {
  const file = join(testDir(t), 'agent.yaml');
  const block = pem(first.privateKey);
  const bare = block.replaceAll(/-----[^-]*-----|\n/g, '');
  const providers = [{ type: 'https', name: 'r', url: 'https://r.example', token_key_file: '/k' }];
  const config = { gateway: 'gw-1', data_dir: '/d', providers, receipts: { router_keys: [block, bare] } };
  writeFileSync(file, stringify(config));
  const loaded = loadAgentConfig(file);
  if (loaded.ok) throw new Error('it is refused');
  const text = formatProblems(loaded.problems);
  t.match(text, /router_keys\[0\]\n.*found \[redacted\]/);
  t.match(text, /router_keys\[1\]\n.*found \[redacted\]/);
  t.notMatch(text, bare.slice(0, 24));
  t.equal(scrub(`x ${block.trim()} y`, []), 'x [redacted] y', 'in other fields neither');
});
