import t from 'tap';
import { StreamQueue } from '../../../agent/forward/queue/stream-queue.ts';
import { RowReader } from '../../../agent/forward/row-reader.ts';
import { IntervalSet } from '../../../shared/interval-set.ts';
import { createLogger } from '../../../shared/log.ts';
import { testDir } from '../../test-dir.ts';
import { appendAll, bufferFile, storeOn, texts } from '../store/fixture.ts';

const ROWS = 3000;
/** Of a live envelope, about: a tenth of what is read at once. */
const ENVELOPE_BYTES = 20_000;
const NOBODY: ReadonlySet<string> = new Set();

/** A reader of a store with rows, and how often it asked the store. */
async function readerOn(file: string) {
  const { store } = storeOn(file);
  await store.start();
  await appendAll(store, texts(ROWS));
  const asked: Array<{ first: number; rows: number }> = [];
  const log = createLogger({ level: 'fatal', levels: {} }, { write: () => undefined });
  const reader = new RowReader({
    log,
    store: {
      read: async (epoch, stream, first, last, maxBytes) => {
        const rows = await store.read(epoch, stream, first, last, maxBytes);
        asked.push({ first, rows: rows.length });
        return rows;
      },
      giveUp: (...gap) => store.giveUp(...gap),
    },
  });
  const pending = IntervalSet.of([{ first: 1, last: ROWS }]);
  const queueOf = (epoch: string) =>
    new StreamQueue({ epoch, stream: 'telemetry', pending, accepted: new Map(), gaps: [], sealedAt: null });
  const read = async (first: number, last = ROWS, epoch = store.epoch): Promise<number[]> => {
    const rows = await reader.read(queueOf(epoch), { first, last, acceptedBy: NOBODY }, ENVELOPE_BYTES);
    return rows.map(({ seq }) => seq);
  };
  return { store, read, asked };
}

function from(first: number, count: number): number[] {
  return Array.from({ length: count }, (_, i) => first + i);
}

t.test('what was read with the rows of one envelope is there for the next', async (t) => {
  const { store, read, asked } = await readerOn(bufferFile(testDir(t)));
  const sent: number[] = [];
  while (sent.length < ROWS) {
    const rows = await read(sent.length + 1);
    t.same(rows, from(sent.length + 1, rows.length));
    sent.push(...rows.slice(0, 400));
  }
  t.same(sent, from(1, ROWS));
  t.ok(asked.length < ROWS / 400, `${asked.length} reads for ${Math.ceil(ROWS / 400)} envelopes`);
  t.ok(
    asked.every(({ rows }) => rows < 2 ** 18 / 10),
    'and no more than a chunk at once (I10)',
  );
  await store.stop();
});

t.test('only rows of the run', async (t) => {
  const { store, read, asked } = await readerOn(bufferFile(testDir(t)));
  const all = await read(1);
  t.ok(all.length > 1000, 'more than an envelope takes');
  t.same(await read(101, 150), from(101, 50));
  t.equal(asked.length, 1);
  await t.test('rows that come back are read again', async (t) => {
    t.same((await read(50)).slice(0, 2), [50, 51]);
    t.equal(asked.length, 2);
  });
  await t.test('rows of another epoch are not the same rows', async (t) => {
    t.same(await read(60, ROWS, '9-00000000'), []);
    t.same((await read(60)).slice(0, 2), [60, 61]);
  });
  await store.stop();
});
