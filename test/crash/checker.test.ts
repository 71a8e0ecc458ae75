/**
 * The checker sees what it must: a lost record, a lost id, an id that changed its content, a doubled QoS 2
 * publish.
 */

import Database from 'better-sqlite3';
import t from 'tap';
import { encodeChunk } from '../../agent/store/file/chunk.ts';
import { record, storeOn } from '../agent/store/fixture.ts';
import { testDir } from '../test-dir.ts';
import { Checker } from './checker.ts';
import { type Acknowledged, publishKey } from './fleet.ts';

const { device, topic } = record('');
const key = (payload: string): string => publishKey(device, topic, payload);
const CLEAN = { acked: 4, lost: 0, duplicatedIds: 0, qos2Doubled: 0, records: 4 };

t.test('a check of what is wrong', async (t) => {
  const file = `${testDir(t)}/buffer.db`;
  const { store } = storeOn(file);
  await store.start();
  for (const payload of ['a', 'b', 'c', 'd']) await store.append(record(payload));
  const { epoch } = store;
  await store.stop();
  const acknowledged = new Map<string, Acknowledged>(
    ['a', 'b', 'c', 'd'].map((payload) => [key(payload), { qos: payload < 'c' ? 1 : 2 }]),
  );
  const checker = new Checker(file);
  const edit = (sql: string, ...values: unknown[]): void => {
    const db = new Database(file);
    db.prepare(sql).run(...values);
    db.close();
  };
  const holding = (payload: string): Buffer =>
    encodeChunk([record(payload)], { epoch, stream: 'telemetry', first: 4 });

  checker.began(epoch);
  t.same(checker.check(acknowledged), CLEAN);
  t.same(checker.check(acknowledged), CLEAN, 'checking changes nothing');

  const phantom = new Map(acknowledged).set(key('never stored'), { qos: 1 });
  t.same(checker.check(phantom), { ...CLEAN, acked: 5, lost: 1 }, 'an acknowledged publish without a record');

  edit('UPDATE chunk SET body = ? WHERE first = 4', holding('c'));
  t.same(
    checker.check(acknowledged),
    { ...CLEAN, lost: 1, duplicatedIds: 1, qos2Doubled: 1 },
    'an id with other content than before; its publish is lost, another is there twice',
  );

  edit('UPDATE chunk SET body = ? WHERE first = 4', holding('d'));
  edit('DELETE FROM chunk WHERE first = 1');
  const unacknowledged = new Map(acknowledged);
  unacknowledged.delete(key('a'));
  const found = checker.check(unacknowledged);
  t.ok(found.lost > 0, 'an id that was there before, and is gone, though nobody was told of it');

  checker.began(epoch);
  t.equal(checker.check(unacknowledged).duplicatedIds, found.duplicatedIds + 1, 'an epoch that began twice');
});
