/** Retried dead letters: by the present identities, by an operator's decision, after a wrong rule. */
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { type RetryDeps, retryDeadLetters } from '../../../router/ingest/dead-letter-retry.ts';
import { Ingest } from '../../../router/ingest/ingest.ts';
import { openSqliteLedger } from '../../../router/ledger/sqlite/engine.ts';
import { deliveryOf } from '../../../router/sources/sqs/delivery.ts';
import { systemClock as clock } from '../../../shared/clock.ts';
import { encodeEnvelope } from '../../../shared/envelope/codec.ts';
import { createLogger } from '../../../shared/log.ts';
import { testDir } from '../../test-dir.ts';
import { envelope } from '../ledger/envelopes.ts';

const log = createLogger({ level: 'silent', levels: {} });
const bytesOf = (seq: number): Uint8Array => encodeEnvelope(envelope({ seqs: [seq] }));

async function fresh(t: Test) {
  const ledger = await openSqliteLedger({ file: join(testDir(t), 'ledger.db'), clock, log });
  t.teardown(() => ledger.close());
  const ingest = new Ingest({ ledger, clock, log });
  const retry = async (deps: Partial<RetryDeps> = {}): Promise<string[]> => {
    const outcomes: string[] = [];
    const retried = retryDeadLetters(ledger, ledger.maintenance, {}, { clock, log, ...deps });
    for await (const { outcome, reason } of retried) outcomes.push(`${outcome} ${reason ?? ''}`.trim());
    return outcomes;
  };
  return { ledger, ingest, retry };
}

/** The delivery of SQS with this body. */
const message = (body: object | string) =>
  deliveryOf('aws', { Body: typeof body === 'string' ? body : JSON.stringify(body), MessageId: 'm' });

t.test('a foreign gateway’s letter is taken in by a mapping, or by a decision', async (t) => {
  const { ledger, ingest, retry } = await fresh(t);
  const foreign = {
    source: 'azure',
    bytes: bytesOf(1),
    authenticatedGateway: 'device-7',
    deliveryCount: null,
  };
  await ingest.handler(foreign);
  t.same(await retry(), ['refused foreign-gateway']);
  t.same(await retry({ identities: new Map([['azure', { 'device-8': 'gw-1' }]]) }), [
    'refused foreign-gateway',
  ]);
  t.same(await retry({ as: 'gw-2' }), ['refused foreign-gateway'], 'not whoever is named');
  t.same(await retry({ identities: new Map([['azure', { 'device-7': 'gw-1' }]]) }), ['committed']);
  t.match(await ledger.totals(), { records: 1 });
  await ingest.handler({ ...foreign, bytes: bytesOf(2) });
  t.same(await retry({ as: 'gw-1' }), ['committed']);
  t.match(await ledger.completeness(), [{ gateway: 'gw-1', records: 2 }]);
});

t.test(
  'with a mapping, the envelope is committed at once; the device’s own name is then foreign',
  async (t) => {
    const { ledger } = await fresh(t);
    const identities = new Map([['azure', { 'device-7': 'gw-1', 'gw-1': 'gw-9' }]]);
    const ingest = new Ingest({ ledger, clock, log, identities });
    const delivery = {
      source: 'azure',
      bytes: bytesOf(1),
      authenticatedGateway: 'device-7',
      deliveryCount: null,
    };
    await ingest.handler(delivery);
    t.match(await ledger.totals(), { records: 1, deadLetters: 0 });
    await ingest.handler({ ...delivery, bytes: bytesOf(2), authenticatedGateway: 'gw-1' });
    await ingest.handler({ ...delivery, bytes: bytesOf(3), authenticatedGateway: 'constructor' });
    t.match(await ledger.totals(), { records: 1, deadLetters: 2 });
  },
);

t.test('a rule without topic() or base64 is named, and what it left whole can be retried', async (t) => {
  const { ledger, ingest, retry } = await fresh(t);
  const data = Buffer.from(bytesOf(1)).toString('base64');
  await ingest.handler(message({ data }));
  await ingest.handler(message({ data: 'HG\u0001\ufffd\ufffd', topic: 'headgate/gw-1/telemetry' }));
  await ingest.handler(message('HG\u0001 raw'));
  const letters = (await ledger.deadLetters(10)).toReversed();
  t.same(
    letters.map(
      ({ reason, detail }) => `${reason}: ${detail.replace('not what the IoT rule should put out: ', '')}`,
    ),
    [
      'rule: the rule needs `topic() AS topic`',
      "rule: the rule needs `encode(*, 'base64') AS data`",
      'rule: it is not the JSON of a rule',
    ],
  );
  t.same(
    await retry(),
    ['refused foreign-gateway', 'refused rule', 'refused rule'],
    'the sender is not known',
  );
  t.same(await retry({ as: 'gw-1' }), ['committed', 'refused rule', 'refused rule']);
  t.match(await ledger.totals(), { records: 1 });
});
