import t from 'tap';
import { Batch } from '../../../agent/store/batch.ts';
import type { Operation } from '../../../agent/store/protocol.ts';
import { BufferDatabase } from '../../../agent/store/thread/database.ts';
import { seededEntropy } from '../../../shared/entropy.ts';
import type { EnvelopeClock } from '../../../shared/envelope/envelope.ts';
import { testDir } from '../../test-dir.ts';
import { bufferFile, columnsOf, record, texts } from './fixture.ts';

const CLOCK: EnvelopeClock = { bootId: 'boot-1', offsetMs: 0, quality: 'synchronised' };
const ROWS = 60;

function pick<T>(values: readonly T[], part: number): T {
  const value = values[Math.floor(part * values.length)];
  if (value === undefined) throw new Error('nothing to pick from');
  return value;
}

t.test('acceptances side by side become one operation, and free the same rows (I3)', async (t) => {
  const entropy = seededEntropy(20);
  let joined = 0;
  for (let round = 0; round < 30; round++) {
    const folder = testDir(t, { one: {}, all: {} });
    const open = (name: string) => {
      const database = new BufferDatabase(bufferFile(`${folder}/${name}`), '0badcafe', CLOCK);
      const rows = texts(ROWS).flatMap((text) => [record(text), record(text, 'alarm')]);
      database.commit(columnsOf(rows), []);
      return database;
    };
    const [one, all] = [open('one'), open('all')];
    const batch = new Batch('awaited');
    const operations: Operation[] = [];
    for (let first = 1; first <= ROWS; ) {
      const last = Math.min(ROWS, first + Math.floor(entropy.float() * 6));
      const copies = entropy.float() < 0.9 ? 2 : 1;
      const provider = entropy.float() < 0.8 ? 'aws' : pick(['gcp', null], entropy.float());
      const stream = entropy.float() < 0.9 ? 'telemetry' : 'alarm';
      operations.push({ kind: 'accept', epoch: one.epoch, stream, provider, first, last, copies });
      // Mostly on from there, now and then again or with rows left out.
      first = pick([last + 1, last + 1, last + 1, last, last + 2], entropy.float());
    }
    for (const operation of operations) {
      one.commit(columnsOf([]), [operation]);
      void batch.operate(operation);
    }
    all.commit(columnsOf([]), batch.operations);
    joined += operations.length - batch.operations.length;
    t.same(all.opened().streams, one.opened().streams, `round ${round}`);
    one.close();
    all.close();
  }
  t.ok(joined > 100, `${joined} were joined`);
});
