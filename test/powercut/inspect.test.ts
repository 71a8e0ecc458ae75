/** The inspection finds each forbidden effect of a cut, on a file made for it. */

import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { BufferDatabase } from '../../agent/store/thread/database.ts';
import { columnsOf } from '../agent/store/fixture.ts';
import { testDir } from '../test-dir.ts';
import { Expected, type Mark } from './expected.ts';
import { type Inspection, inspect } from './inspect.ts';
import { recordOf } from './records.ts';

const CLOCK = { bootId: 'b', offsetMs: 0, quality: 'unsynchronised' } as const;
const EPOCH = '1-aaaaaaaa';

/** A folder whose buffer holds these records, as `telemetry` 1, 2, 3 …, of one epoch. */
function folderWith(t: Test, numbers: readonly number[]): string {
  const folder = testDir(t);
  const buffer = new BufferDatabase(join(folder, 'buffer.db'), 'aaaaaaaa', CLOCK);
  const records = numbers.map((number) => ({ ...recordOf(number), stream: 'telemetry' }));
  buffer.commit(columnsOf(records), []);
  buffer.close();
  return folder;
}

function acknowledged(seq: number, number: number): Mark {
  return { say: 'acknowledged', epoch: EPOCH, stream: 'telemetry', seq, number };
}

function accepting(provider: string, seq: number, copies: number): Mark {
  return { say: 'accepting', epoch: EPOCH, stream: 'telemetry', provider, first: seq, last: seq, copies };
}

function found(folder: string, marks: readonly Mark[]): Pick<Inspection, 'acked' | 'lost' | 'unstartable'> {
  const expected = new Expected();
  for (const mark of marks) expected.apply(JSON.stringify(mark));
  const { problems, ...counts } = inspect(folder, expected);
  return counts;
}

t.test('what is there is well; more than was acknowledged may be there', async (t) => {
  const marks: Mark[] = [{ say: 'epoch', epoch: EPOCH }, acknowledged(1, 7), acknowledged(2, 8)];
  t.same(found(folderWith(t, [7, 8, 9]), marks), { acked: 2, lost: 0, unstartable: false });
});

t.test('a record that is not there is lost, unless its last needed acceptance was asked for', async (t) => {
  const folder = folderWith(t, [7]);
  const all = [acknowledged(1, 7), acknowledged(2, 8)];
  t.same(found(folder, all), { acked: 2, lost: 1, unstartable: false });
  t.same(found(folder, [...all, accepting('aws', 2, 2)]), { acked: 2, lost: 1, unstartable: false });
  const freed = [accepting('aws', 2, 2), accepting('gcp', 2, 2)];
  t.same(found(folder, [...all, ...freed]), { acked: 1, lost: 0, unstartable: false });
});

t.test("an id with another record's content is lost, also after it was freed (I2)", async (t) => {
  const folder = folderWith(t, [8]);
  t.same(found(folder, [acknowledged(1, 7)]), { acked: 1, lost: 1, unstartable: false });
  t.match(found(folder, [acknowledged(1, 7), accepting('aws', 1, 1)]), { lost: 1 });
});

t.test('a start counter that comes again is a loss (I2)', async (t) => {
  t.match(found(folderWith(t, [7]), [{ say: 'epoch', epoch: '2-bbbbbbbb' }]), { lost: 1 });
});

t.test('a buffer that does not open is unstartable', async (t) => {
  const folder = folderWith(t, [7]);
  rmSync(join(folder, 'buffer.db'));
  mkdirSync(join(folder, 'buffer.db'));
  t.match(found(folder, []), { unstartable: true });
});
