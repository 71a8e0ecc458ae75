import { createPublicKey } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { stringify } from 'yaml';
import type { Ledger } from '../../router/ledger/ledger.ts';
import { openSqliteLedger } from '../../router/ledger/sqlite/engine.ts';
import { systemClock } from '../../shared/clock.ts';
import { seededEntropy } from '../../shared/entropy.ts';
import { encodeEnvelope } from '../../shared/envelope/codec.ts';
import { createLogger } from '../../shared/log.ts';
import { newSealKey, SEALING, sealKeyFolder } from '../../shared/sealing/seal-key.ts';
import { openSession } from '../../shared/sealing/session.ts';
import { envelopeSigner } from '../../shared/signing/envelope-signature.ts';
import { keepKey } from '../../shared/signing/key-folder.ts';
import { newPrivateKey } from '../../shared/signing/private-key.ts';
import { keyIdOf, signerOf } from '../../shared/signing/signature.ts';
import { envelope } from '../router/ledger/envelopes.ts';
import { command, folderWith, headgate } from './run.ts';

const log = createLogger({ level: 'silent', levels: {} });

/** A ledger with three dead letters, open as a running router has it, and its commands. */
async function start(t: Test): Promise<{ ledger: Ledger; dir: string; config: string; run: typeof command }> {
  const dir = folderWith(t, {});
  const sources = 'sources: [{ name: gcp, type: gcp, project: p, subscription: s }]';
  const config = join(
    folderWith(t, { 'router.yaml': `data_dir: ${dir}\n${sources}\nlog: { level: error }\n` }),
    'router.yaml',
  );
  const ledger = await openSqliteLedger({ file: join(dir, 'ledger.db'), clock: systemClock, log });
  t.teardown(() => ledger.close());
  const receivedWallMs = systemClock.wallMs() - 3_600_000;
  const letter = { source: 'gcp', reason: 'magic', detail: 'does not start with "HG"', receivedWallMs };
  await ledger.deadLetter({ ...letter, bytes: Buffer.alloc(400, 0xab), properties: { st: 'x\u001b[2J' } });
  await ledger.deadLetter({
    ...letter,
    bytes: encodeEnvelope(envelope({ seqs: [1] })),
    authenticatedGateway: 'gw-1',
  });
  await ledger.deadLetter({
    ...letter,
    reason: 'checksum',
    bytes: Buffer.of(1),
    receivedWallMs: systemClock.wallMs(),
  });
  return { ledger, dir, config, run: (args) => command(['deadletter', ...args, '--config', config]) };
}

t.test('ls and show', async (t) => {
  const { dir, run } = await start(t);
  const { code, stdout } = await run(['ls']);
  t.equal(code, 0);
  t.match(
    stdout,
    /^ID +RECEIVED +SOURCE +REASON +SIZE +DETAIL\n *3 .* checksum .*\n *2 .*\n *1 .* gcp +magic +400 B /,
  );
  t.match(JSON.parse((await run(['ls', '--older-than', '30m', '--limit', '1', '--json'])).stdout), [
    { id: 2 },
  ]);
  const shown = await run(['show', '1']);
  t.match(shown.stdout, /^reason +magic: does not start/m);
  t.match(shown.stdout, /^property +st: x \[2J$/m, 'nothing that moves the cursor');
  t.notMatch(shown.stdout, /^envelope/m, 'what is none has no such line');
  t.match((await run(['show', '2'])).stdout, /^envelope +version 1, not signed$/m);
  t.match(shown.stdout, /^bytes +(ab){256} … \(--out writes all 400\)$/m);
  const out = join(dir, 'letter');
  t.equal((await run(['show', '1', '--out', out, '--encoding', 'base64'])).code, 0);
  t.ok(Buffer.from(readFileSync(out, 'utf8'), 'base64').equals(Buffer.alloc(400, 0xab)));
  t.match(await run(['show', '1', '--out', out]), { code: 1, stderr: /EEXIST/ }, 'overwrites nothing');
  t.match(JSON.parse((await run(['show', '3', '--json'])).stdout), { reason: 'checksum', bytes: 'AQ==' });
  t.match(await run(['show', '9']), { code: 1, stderr: /there is no dead letter 9/ });
  t.match(await run(['show', 'nine']), { code: 2 });
});

t.test('retry and purge take what is named, and nothing by a slip', async (t) => {
  const { ledger, config, run } = await start(t);
  t.match(await run(['purge']), { code: 2, stderr: /nothing selected/ });
  t.match(await run(['retry', '--older-than', 'yesterday']), { code: 2 });
  const retried = await headgate(['deadletter', 'retry', '--reason', 'magic', '--config', config]);
  t.match(retried, {
    code: 1,
    stdout: '1  refused: magic\n2  committed\n1 committed, 1 refused again, 0 failed\n',
  });
  t.match(await ledger.read(0, 10), [{ seq: 1, source: 'gcp' }], 'the running router sees it');
  t.match(await run(['purge', '1', '77']), { code: 0, stdout: '1 removed\n' });
  t.match(JSON.parse((await run(['purge', '--all', '--json'])).stdout), { removed: 1 });
  t.strictSame(await ledger.deadLetters(10), []);
});

t.test(
  'a sealed letter says to which key, and nothing of its content; with the key it is taken',
  async (t) => {
    const { ledger, dir, config, run } = await start(t);
    const entropy = seededEntropy(5);
    const [gatewayKey, routerKey] = [newPrivateKey(entropy), newSealKey(entropy)];
    const publicKey = createPublicKey(gatewayKey).export({ type: 'spki', format: 'pem' });
    const gatewaysFile = join(dir, 'gateways.yaml');
    writeFileSync(gatewaysFile, stringify({ gateways: { 'gw-1': { public_keys: [publicKey] } } }));
    writeFileSync(config, `${readFileSync(config, 'utf8')}gateways_file: ${gatewaysFile}\n`);
    const session = await openSession([createPublicKey(routerKey)], { gateway: 'gw-1', entropy });
    const whole = envelope({ stream: 'private', seqs: [7, 8], text: 'the payload', topic: 'the/topic' });
    const bytes = Buffer.from(encodeEnvelope(whole, envelopeSigner(signerOf(gatewayKey)), session));
    const keyId = keyIdOf(createPublicKey(routerKey));
    const detail = `sealed to ${keyId}, of which this router has none`;
    await ledger.deadLetter({ source: 'gcp', reason: 'seal-key', detail, bytes, receivedWallMs: 1 });
    const id = '4';
    t.match((await run(['ls', '--reason', 'seal-key'])).stdout, `sealed to ${keyId}`);
    const { stdout } = await run(['show', id]);
    t.match(stdout, /^envelope +version 3: gw-1, epoch 1-aa, stream private, seq 7 to 8$/m);
    t.match(stdout, new RegExp(`^signed by +${keyIdOf(createPublicKey(gatewayKey))}`, 'm'));
    t.match(stdout, new RegExp(`^sealed to +${keyId}; \\d+ bytes of ciphertext`, 'm'));
    t.match(stdout, /^[\n\x20-\x7e…]+$/, 'text alone');
    const json = JSON.parse((await run(['show', id, '--json'])).stdout);
    t.match(json.envelope, {
      version: 3,
      ids: { gateway: 'gw-1', range: { first: 7, last: 8 }, sealedTo: [keyId] },
    });
    t.match(await run(['retry', id]), { code: 1, stdout: /^4 {2}refused: seal-key$/m });
    await keepKey(sealKeyFolder(dir), routerKey, SEALING);
    t.match(await run(['retry', id]), { code: 0, stdout: /^4 {2}committed$/m });
    const read = await ledger.read(0, 10);
    t.same(
      read.map(({ seq, topic, payload }) => [seq, topic, Buffer.from(payload).toString()]),
      [
        [7, 'the/topic', 'the payload'],
        [8, 'the/topic', 'the payload'],
      ],
    );
  },
);
