import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { openSigning } from '../../../agent/keys/signing.ts';
import { seededEntropy } from '../../../shared/entropy.ts';
import { createLogger } from '../../../shared/log.ts';
import { keepKey, keyFolder, readKeys, removeKey } from '../../../shared/signing/key-folder.ts';
import { newPrivateKey } from '../../../shared/signing/private-key.ts';
import { keyIdOf } from '../../../shared/signing/signature.ts';
import { testDir } from '../../test-dir.ts';

function fresh(t: Test) {
  const dir = testDir(t);
  const lines: string[] = [];
  const log = createLogger({ level: 'info', levels: {} }, { write: (line) => void lines.push(line) });
  let seed = 0;
  const open = (signing: { envelopes: boolean; key_file?: string }) => {
    seed += 1;
    return openSigning({ config: { data_dir: dir, signing }, entropy: seededEntropy(seed), log });
  };
  const events = () => lines.map((line) => JSON.parse(line).event);
  return { dir, folder: keyFolder(dir), lines, events, open };
}

t.test('the first start makes a key, the next ones sign with it', async (t) => {
  const { folder, events, lines, open } = fresh(t);
  const { keyId, signer } = await open({ envelopes: true });
  t.equal(signer?.keyId, keyId);
  t.same(events(), ['keys.made', 'keys.signing']);
  const [name = ''] = readdirSync(folder);
  t.equal(name, `0001-${keyId}.pem`);
  t.equal(statSync(join(folder, name)).mode & 0o777, 0o600);
  t.equal(statSync(folder).mode & 0o777, 0o700);
  t.equal((await open({ envelopes: true })).keyId, keyId);
  t.equal(readdirSync(folder).length, 1);
  const pem = readFileSync(join(folder, name), 'utf8').split('\n')[1] ?? '';
  t.notOk(lines.join().includes(pem), 'no line quotes it');
});

t.test('without signing.envelopes the key is made, and nothing is signed', async (t) => {
  const { folder, events, open } = fresh(t);
  t.equal((await open({ envelopes: false })).signer, null);
  t.same(events(), ['keys.made', 'keys.unsigned']);
  t.equal(readdirSync(folder).length, 1);
});

t.test('the newest key signs; a key is removed for good', async (t) => {
  const { folder, open } = fresh(t);
  const before = await open({ envelopes: true });
  const key = newPrivateKey(seededEntropy(77));
  await keepKey(folder, key);
  const after = await open({ envelopes: true });
  t.equal(after.keyId, keyIdOf(createPublicKey(key)));
  const { keys } = await readKeys(folder);
  t.same(
    keys.map(({ signer }) => signer.keyId),
    [after.keyId, before.keyId],
  );
  for (const one of keys.slice(1)) await removeKey(one);
  t.equal((await readKeys(folder)).keys.length, 1);
});

t.test('a damaged key is passed over; a lost one is replaced (I9)', async (t) => {
  const { folder, events, open } = fresh(t);
  mkdirSync(folder);
  writeFileSync(join(folder, '0009-0123456789abcdef.pem'), '-----BEGIN PRIVATE KEY-----\nsecret!\n');
  const { signer } = await open({ envelopes: true });
  t.not(signer, null);
  t.same(events(), ['keys.unusable', 'keys.made', 'keys.signing']);
  t.match(readdirSync(folder), ['0009-0123456789abcdef.pem', /^0010-/]);
});

t.test('a folder that takes no file does not stop the agent (I9)', async (t) => {
  const { dir, folder, events, open } = fresh(t);
  writeFileSync(folder, 'a file in its place');
  t.not((await open({ envelopes: true })).signer, null);
  t.same(events(), ['keys.unusable', 'keys.not_kept', 'keys.signing']);
  chmodSync(dir, 0o700);
});

t.test('key_file signs in place of the folder; what is no key refuses the start', async (t) => {
  const { dir, folder, open } = fresh(t);
  const file = join(dir, 'credential');
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  writeFileSync(file, privateKey.export({ type: 'pkcs8', format: 'pem' }));
  const { keyId } = await open({ envelopes: true, key_file: file });
  t.equal(keyId, keyIdOf(publicKey));
  t.throws(() => statSync(folder), { code: 'ENOENT' });
  writeFileSync(file, 'not a key');
  await t.rejects(open({ envelopes: true, key_file: file }), { name: 'StartRefused', exitCode: 78 });
});
