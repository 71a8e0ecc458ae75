/** Records of a sealed stream, from a real buffer through a cloud to a real ledger. */
import { createPublicKey } from 'node:crypto';
import { join } from 'node:path';
import t from 'tap';
import { protectWith } from '../../../agent/keys/protection.ts';
import { Sealing } from '../../../agent/keys/sealing.ts';
import type { OutboundEnvelope } from '../../../agent/providers/publisher.ts';
import { Ingest } from '../../../router/ingest/ingest.ts';
import { Seals } from '../../../router/ingest/seals.ts';
import { Signatures } from '../../../router/ingest/signatures.ts';
import { openSqliteLedger } from '../../../router/ledger/sqlite/engine.ts';
import { systemClock as clock } from '../../../shared/clock.ts';
import { seededEntropy } from '../../../shared/entropy.ts';
import { createLogger } from '../../../shared/log.ts';
import { keyPairOf } from '../../../shared/sealing/content-key.ts';
import { newSealKey } from '../../../shared/sealing/seal-key.ts';
import { envelopeSigner } from '../../../shared/signing/envelope-signature.ts';
import { newPrivateKey } from '../../../shared/signing/private-key.ts';
import { signerOf } from '../../../shared/signing/signature.ts';
import { testDir } from '../../test-dir.ts';
import { until } from '../../until.ts';
import { appendAll, bufferFile, texts } from '../store/fixture.ts';
import { agentOn } from './fixture.ts';

const log = createLogger({ level: 'silent', levels: {} });
const entropy = seededEntropy(21);
const own = newPrivateKey(entropy);
const router = newSealKey(entropy);
const publicPem = String(createPublicKey(router).export({ type: 'spki', format: 'pem' }));

t.test('two clouds see no text of a record, and the ledger has each once', async (t) => {
  const sealing = new Sealing({ gateway: 'gw-1', keys: [publicPem], clock, entropy, log });
  const seen: OutboundEnvelope[] = [];
  const folder = testDir(t);
  const agent = await agentOn(bufferFile(folder), {
    providers: ['a', 'b'],
    redundancy: 2,
    stream: { seal: true },
    protect: protectWith(envelopeSigner(signerOf(own)), sealing),
    publisher: () => ({
      type: 'mqtt',
      maxEnvelopeBytes: 128_000,
      async publish(message) {
        seen.push(message);
        return { kind: 'accepted' };
      },
      close: () => Promise.resolve(),
    }),
  });
  t.teardown(() => agent.stop());
  const written = texts(40).map((text) => `reading ${text}`);
  await appendAll(agent.store, written);
  await until('the first try failed for want of a key', () =>
    agent.logged.some(({ event, error }) => event === 'forward.read_failed' && /sealed/.test(String(error))),
  );
  t.equal((await agent.store.stats()).rows, 40, 'nothing left without a key');
  await sealing.start();
  t.teardown(() => sealing.stop());
  await until('nothing is left in the buffer', async () => (await agent.store.stats()).rows === 0);
  const sealed = seen.filter(({ stream }) => stream === 'telemetry');
  t.ok(sealed.length >= 2);
  for (const { bytes, properties } of sealed) {
    t.equal(properties.hg, '3');
    t.equal(bytes[2], 3);
    const text = Buffer.from(bytes).toString('latin1');
    t.equal(text.includes('reading'), false);
  }
  const ledger = await openSqliteLedger({ file: join(folder, 'ledger.db'), clock, log });
  t.teardown(() => ledger.close());
  const pair = await keyPairOf(router, createPublicKey(router));
  const keys = { isRead: true, signingKey: () => createPublicKey(own), acceptOf: () => null };
  const signatures = new Signatures({ accept: new Map([['a', 'signed']]), keys });
  const seals = new Seals({ keys: { isRead: true, pair: () => pair }, required: ['telemetry'] });
  const ingest = new Ingest({ ledger, clock, log, signatures, seals });
  for (const { bytes } of sealed)
    await ingest.handler({ source: 'a', bytes, authenticatedGateway: 'gw-1', deliveryCount: null });
  t.match(await ledger.totals(), { records: 40, duplicates: 40, conflicts: 0, deadLetters: 0 });
  const read = await ledger.read(0, 100);
  t.same(read.map(({ payload }) => Buffer.from(payload).toString()).sort(), written.toSorted());
});
