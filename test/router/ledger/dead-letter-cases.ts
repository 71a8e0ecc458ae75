/** Dead letters as people and the retry see them. Part of the contract. */
import type { Test } from 'tap';
import { retryDeadLetters } from '../../../router/ingest/dead-letter-retry.ts';
import type { DeadLetter } from '../../../router/ledger/types.ts';
import { systemClock } from '../../../shared/clock.ts';
import { encodeEnvelope } from '../../../shared/envelope/codec.ts';
import { createLogger } from '../../../shared/log.ts';
import type { LedgerEngine } from './engine.ts';
import { envelope } from './envelopes.ts';
import { freshWithMaintenance } from './fresh.ts';
import { LIMITS } from './limits.ts';

const LETTER: DeadLetter = {
  source: 'aws',
  reason: 'cbor',
  detail: 'unexpected end',
  bytes: Buffer.of(1, 2, 255),
  receivedWallMs: 5,
};
const deps = { clock: systemClock, log: createLogger({ level: 'silent', levels: {} }) };

export function deadLetterCases(t: Test, engine: LedgerEngine): void {
  t.test('a dead letter keeps what the provider said of it', async (t) => {
    const { ledger, maintenance } = await freshWithMaintenance(t, engine);
    const properties = { topic: 'headgate/gw-1/x\0', ключ: '"' };
    await ledger.deadLetter({ ...LETTER, authenticatedGateway: 'gw-7', properties });
    await ledger.deadLetter(LETTER);
    const [second, first] = await maintenance.deadLetterHeads({}, 10);
    t.match(first, {
      source: 'aws',
      reason: 'cbor',
      detail: 'unexpected end',
      receivedWallMs: 5,
      sizeBytes: 3,
    });
    const stored = await maintenance.loadDeadLetter(first?.id ?? 0);
    t.match(stored, { id: first?.id, authenticatedGateway: 'gw-7' });
    t.strictSame(stored?.properties, properties);
    t.strictSame([...(stored?.bytes ?? [])], [1, 2, 255]);
    t.match(await maintenance.loadDeadLetter(second?.id ?? 0), {
      authenticatedGateway: null,
      properties: {},
    });
    t.equal(await maintenance.loadDeadLetter(99), null);
  });

  t.test('they are found and removed by id, source, reason and age; ids and counts go on', async (t) => {
    const { ledger, maintenance } = await freshWithMaintenance(t, engine);
    for (const source of ['aws', 'gcp']) {
      for (const reason of ['cbor', 'magic'])
        await ledger.deadLetter({ ...LETTER, source, reason, receivedWallMs: source === 'aws' ? 100 : 200 });
    }
    const names = async (filter = {}, limit = 10) =>
      (await maintenance.deadLetterHeads(filter, limit)).map(({ source, reason }) => `${source} ${reason}`);
    t.strictSame(await names({ source: 'gcp' }), ['gcp magic', 'gcp cbor']);
    t.strictSame(await names({ reason: 'magic' }, 1), ['gcp magic']);
    t.strictSame(await names({ beforeWallMs: 200, reason: 'cbor' }), ['aws cbor']);
    const [newest] = await maintenance.deadLetterHeads({}, 1);
    t.equal(await maintenance.removeDeadLetters({ ids: [newest?.id ?? 0, 999] }), 1);
    t.equal(await maintenance.removeDeadLetters({ beforeWallMs: 200 }), 2);
    t.strictSame(await names(), ['gcp cbor']);
    t.equal(await maintenance.removeDeadLetters({}), 1);
    await ledger.deadLetter(LETTER);
    const [later] = await maintenance.deadLetterHeads({}, 1);
    t.ok((later?.id ?? 0) > (newest?.id ?? 0), 'an id is not given again');
    t.match(await ledger.totals(), { deadLetters: 5 });
  });

  t.test('expire: those past the bound of age go (I10)', async (t) => {
    const { ledger, maintenance } = await freshWithMaintenance(t, engine);
    const nowMs = systemClock.wallMs();
    const { ageMsMax } = LIMITS.deadLetters;
    for (const ageMs of [50_000, 20_000, 0])
      await ledger.deadLetter({ ...LETTER, receivedWallMs: nowMs - ageMs });
    await maintenance.expire(nowMs);
    t.equal((await maintenance.deadLetterHeads({}, 10)).length, 3);
    await maintenance.expire(nowMs + ageMsMax - 10_000);
    t.match(await maintenance.deadLetterHeads({}, 10), [{ receivedWallMs: nowMs }]);
    await maintenance.expire(nowMs + ageMsMax + 1);
    t.strictSame(await maintenance.deadLetterHeads({}, 10), [], 'the newest too');
    t.match(await ledger.totals(), { deadLetters: 3 });
  });

  t.test('retry: what is good now is committed and leaves, what is refused again stays', async (t) => {
    const { ledger, maintenance } = await freshWithMaintenance(t, engine);
    const good = Buffer.from(encodeEnvelope(envelope({ seqs: [1, 2] })));
    await ledger.deadLetter({ ...LETTER, bytes: good, source: 'azure', authenticatedGateway: 'gw-1' });
    await ledger.deadLetter({ ...LETTER, bytes: good, authenticatedGateway: 'gw-2' });
    await ledger.deadLetter(LETTER);
    const outcomes = [];
    for await (const { outcome, reason } of retryDeadLetters(ledger, maintenance, {}, deps))
      outcomes.push([outcome, reason]);
    t.strictSame(outcomes, [
      ['committed', null],
      ['refused', 'foreign-gateway'],
      ['refused', 'truncated'],
    ]);
    t.match(await ledger.read(0, 10), [{ seq: 1, source: 'azure' }, { seq: 2 }]);
    t.equal((await maintenance.deadLetterHeads({}, 10)).length, 2);
    t.match(await ledger.totals(), { deadLetters: 3 }, 'no new ones');
  });
}
