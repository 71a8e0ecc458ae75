import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  createWriteStream,
  existsSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { Feed } from '../../../../router/feeds/feed.ts';
import { ndjsonFeedOptions, openNdjsonSink } from '../../../../router/feeds/sinks/ndjson.ts';
import { recordJson } from '../../../../router/feeds/sinks/record-json.ts';
import { openSqliteLedger } from '../../../../router/ledger/sqlite/engine.ts';
import type { LedgerRecord } from '../../../../router/ledger/types.ts';
import { systemClock as clock } from '../../../../shared/clock.ts';
import { systemEntropy as entropy } from '../../../../shared/entropy.ts';
import { createLogger } from '../../../../shared/log.ts';
import { testDir } from '../../../test-dir.ts';
import { until } from '../../../until.ts';
import { entry, seqs } from '../../ledger/envelopes.ts';
import { ANY_MOVE } from '../any-move.ts';

function record(offset: number, rest: Partial<LedgerRecord> = {}): LedgerRecord {
  return {
    gateway: 'gw-1',
    epoch: '1-aa',
    stream: 'telemetry',
    seq: offset,
    offset,
    device: 'device-1',
    topic: 'plant/temp',
    payload: Buffer.from('{"c":21.5}'),
    bootId: 'boot-1',
    monoMs: 10,
    wallMs: 1_700_000_000_010,
    clockQuality: 'synchronised',
    source: 'aws',
    receivedWallMs: 1,
    ...rest,
  };
}

function offsetsIn(path: string): number[] {
  const text = readFileSync(path, 'utf8');
  t.equal(text.at(-1), '\n', 'the last line is whole');
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line).offset);
}

t.test('one JSON object per record', async (t) => {
  t.strictSame(JSON.parse(recordJson(record(7))), {
    gateway: 'gw-1',
    epoch: '1-aa',
    stream: 'telemetry',
    seq: 7,
    offset: 7,
    device: 'device-1',
    topic: 'plant/temp',
    time: '2023-11-14T22:13:20.010Z',
    clock_quality: 'synchronised',
    payload: '{"c":21.5}',
  });
  const lineOf = (payload: Uint8Array) => JSON.parse(recordJson(record(1, { payload })));
  t.equal(lineOf(Buffer.from('\uFEFFgrün\n"')).payload, '\uFEFFgrün\n"');
  t.equal(lineOf(Buffer.of()).payload, '');
  const binary = lineOf(new Uint8Array([1, 255, 0, 254]).subarray(1, 3));
  t.equal(binary.payload_base64, '/wA=');
  t.notOk('payload' in binary);
  t.equal(JSON.parse(recordJson(record(1, { wallMs: 9e15 }))).time, null, 'beyond what a date can say');
});

t.test('appends, cuts the half line of a crash off first, and follows a rotation', async (t) => {
  const path = join(testDir(t), 'records.ndjson');
  const sink = openNdjsonSink({ file: path }, process.stdout, clock);
  await sink.write([record(1), record(2)], ANY_MOVE);
  appendFileSync(path, recordJson(record(3, { payload: Buffer.alloc(20_000, 'x') })).slice(0, 15_000));
  await sink.write([record(3)], ANY_MOVE);
  t.strictSame(offsetsIn(path), [1, 2, 3]);
  renameSync(path, `${path}.1`);
  await sink.write([record(4)], ANY_MOVE);
  t.strictSame([offsetsIn(`${path}.1`), offsetsIn(path)], [[1, 2, 3], [4]]);
  writeFileSync(path, '{"offset":');
  await sink.write([record(5)], ANY_MOVE);
  t.strictSame(offsetsIn(path), [5], 'half a line and nothing else');
  await sink.close();
});

t.test('"-" is stdout; a reader that went away is an error, not the end of the process', async (t) => {
  const path = join(testDir(t), 'stdout');
  const stdout = createWriteStream(path);
  const sink = openNdjsonSink({ file: '-' }, stdout, clock);
  await sink.write([record(1)], ANY_MOVE);
  await sink.write([record(2)], ANY_MOVE);
  t.strictSame(offsetsIn(path), [1, 2]);
  const child = spawn('true', { stdio: ['pipe', 'ignore', 'ignore'] });
  await once(child, 'close');
  const gone = openNdjsonSink({ file: '-' }, child.stdin, clock);
  await t.rejects(gone.write([record(1)], ANY_MOVE));
  await t.rejects(gone.write([record(1)], ANY_MOVE));
  await gone.close();
  await sink.close();
  stdout.end();
});

t.test('a stalled stdout does not keep the feed from stopping', async (t) => {
  const child = spawn('sleep', ['30'], { stdio: ['pipe', 'ignore', 'ignore'] });
  t.teardown(() => child.kill('SIGKILL'));
  const sink = openNdjsonSink({ file: '-' }, child.stdin, clock);
  const stalled = sink.write(
    seqs(1, 100).map((i) => record(i, { payload: Buffer.alloc(100_000, 'x') })),
    ANY_MOVE,
  );
  const rejected = t.rejects(stalled, { message: /stopped/ });
  await until('the pipe is full', () => child.stdin.writableNeedDrain);
  await sink.close();
  await rejected;
});

t.test('killed between the write and the cursor: repeats, and skips nothing', async (t) => {
  const folder = testDir(t);
  const ledgerFile = join(folder, 'ledger.db');
  const path = join(folder, 'records.ndjson');
  const log = createLogger({ level: 'silent', levels: {} });
  const ledger = await openSqliteLedger({ file: ledgerFile, clock, log });
  t.teardown(() => ledger.close());
  await ledger.commit([entry({ seqs: seqs(1, 40) })]);
  const script = fileURLToPath(new URL('../die-before-cursor.ts', import.meta.url));
  for (const dieAt of ['1', '2']) {
    const child = spawn(process.execPath, [script, ledgerFile, path, dieAt], { stdio: 'inherit' });
    const [, signal] = await once(child, 'close');
    t.equal(signal, 'SIGKILL');
  }
  t.equal((await ledger.loadFeedPosition('file')).offset, 10);
  appendFileSync(path, '{"gateway":"gw-1","epo');
  const sink = openNdjsonSink({ file: path }, process.stdout, clock);
  const feed = new Feed({ name: 'file', ledger, sink, clock, entropy, log, batchRecords: 10 });
  await feed.start();
  await until('the feed reaches 40', async () => (await ledger.loadFeedPosition('file')).offset === 40);
  await feed.stop();
  t.strictSame(offsetsIn(path), [...seqs(1, 10), ...seqs(1, 20), ...seqs(11, 40)]);
});

t.test('options', async (t) => {
  t.strictSame(ndjsonFeedOptions.parse({ file: '-' }), { file: '-' });
  t.notOk(ndjsonFeedOptions.safeParse({}).success);
  t.notOk(ndjsonFeedOptions.safeParse({ file: 'x', colour: 'red' }).success);
  t.notOk(existsSync('-'));
});
