/** Property: any valid topic, device and payload leaves every feed byte for byte, U+FEFF included. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import t from 'tap';
import { cloudEventJson } from '../../../../router/feeds/sinks/cloud-event.ts';
import { natsSubject } from '../../../../router/feeds/sinks/nats-message.ts';
import { openNdjsonSink } from '../../../../router/feeds/sinks/ndjson.ts';
import { jsonbText } from '../../../../router/feeds/sinks/postgres-payload.ts';
import { recordJson } from '../../../../router/feeds/sinks/record-json.ts';
import { openSqliteLedger } from '../../../../router/ledger/sqlite/engine.ts';
import { systemClock as clock } from '../../../../shared/clock.ts';
import { decodeEnvelope, encodeEnvelope } from '../../../../shared/envelope/codec.ts';
import { createLogger } from '../../../../shared/log.ts';
import { testDir } from '../../../test-dir.ts';
import { entry, record } from '../../ledger/envelopes.ts';
import { ANY_MOVE } from '../any-move.ts';

const log = createLogger({ level: 'silent', levels: {} });

/** MQTT text without U+0000 and wildcards; odd starts are likely. */
const text = fc
  .tuple(fc.constantFrom('', '\ufeff', '\ufeff\ufeff', '/'), fc.string({ unit: 'grapheme', maxLength: 40 }))
  .map(([start, rest]) => (start + rest).replaceAll(/[\0+#]/g, '').toWellFormed())
  .filter((topic) => topic !== '');
const payload = fc.oneof(
  fc.uint8Array({ maxLength: 60 }),
  text.map((value) => new TextEncoder().encode(value)),
  fc.jsonValue().map((value) => new TextEncoder().encode(JSON.stringify(value))),
);

t.test('codec, ledger and feeds keep every text and byte', async (t) => {
  const folder = testDir(t);
  const ledger = await openSqliteLedger({ file: join(folder, 'ledger.db'), clock, log });
  t.teardown(() => ledger.close());
  const file = join(folder, 'records.ndjson');
  const sink = openNdjsonSink({ file }, process.stdout, clock);
  let seq = 0;
  const property = fc.asyncProperty(text, text, payload, async (topic, device, bytes) => {
    seq += 1;
    const made = entry({ seqs: [seq] });
    made.envelope.records = [{ ...record(seq), topic, device, payload: bytes }];
    const decoded = decodeEnvelope(encodeEnvelope(made.envelope));
    await ledger.commit([{ ...made, envelope: decoded }]);
    const [kept] = await ledger.read(seq - 1, 1);
    if (!kept) throw new Error('the ledger has no record');
    const same = (what: string, a: unknown, b: unknown): void => {
      if (a !== b) throw new Error(`${what}: ${JSON.stringify(a)} is not ${JSON.stringify(b)}`);
    };
    same('topic', kept.topic, topic);
    same('device', kept.device, device);
    same('payload', Buffer.compare(kept.payload, bytes), 0);
    const json = JSON.parse(recordJson(kept));
    same('JSON topic', json.topic, topic);
    same('JSON device', json.device, device);
    const read = Buffer.from(json.payload_base64 ?? json.payload, json.payload_base64 ? 'base64' : 'utf8');
    same('JSON payload', Buffer.compare(read, bytes), 0);
    const event = JSON.parse(cloudEventJson(kept));
    same('event subject', event.subject, topic);
    same('event device', event.device, device);
    const decodedSubject = natsSubject('a.{topic}', kept)
      .slice(2)
      .split('.')
      .map((part) => decodeURIComponent(part));
    same('NATS subject', decodedSubject.map((part) => (part === '\0' ? '' : part)).join('/'), topic);
    const stored = jsonbText(Buffer.from(bytes));
    if (stored !== null) same('jsonb', Buffer.compare(Buffer.from(stored), bytes), 0);
    await sink.write([kept], ANY_MOVE);
    const line = readFileSync(file, 'utf8').trimEnd().split('\n').at(-1) ?? '';
    same('NDJSON topic', JSON.parse(line).topic, topic);
  });
  await t.resolves(fc.assert(property, { numRuns: 150, seed: 7 }));
});
