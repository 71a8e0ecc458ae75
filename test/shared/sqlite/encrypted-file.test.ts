import { copyFileSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { prepareEncryption } from '../../../shared/sqlite/encrypted-file.ts';
import { type FileKey, openSqlite } from '../../../shared/sqlite/open.ts';
import { testDir } from '../../test-dir.ts';

const KEY = Buffer.alloc(32, 7);
const OTHER = Buffer.alloc(32, 8);
/** As the notes beside the files have them. */
const ID = '7b37d85daf5c6227';
const OTHER_ID = '841574533db03835';
const OPTION = 'ledger.encryption_key';
const SECRET = 'a reading that nobody may read';

function fileIn(t: Test): string {
  return join(testDir(t), 'x.db');
}

/** As a program writes it that is then killed: part of it is in the log only. */
function write(file: string, key: FileKey | null, more: string[] = []): void {
  prepareEncryption(file, key, { option: OPTION, mayChange: true });
  const db = openSqlite(file, {}, key);
  db.pragma('journal_mode = WAL');
  db.exec('CREATE TABLE IF NOT EXISTS t (text TEXT)');
  for (const text of [SECRET, ...more]) db.prepare('INSERT INTO t VALUES (?)').run(text);
  for (const part of ['', '-wal']) copyFileSync(file + part, `${file}.kept${part}`);
  db.close();
  for (const part of ['', '-wal']) copyFileSync(`${file}.kept${part}`, file + part);
}

function read(file: string, key: FileKey | null): unknown[] {
  prepareEncryption(file, key, { option: OPTION, mayChange: true });
  const db = openSqlite(file, { fileMustExist: true }, key);
  try {
    return db.prepare<[], string>('SELECT text FROM t').pluck().all();
  } finally {
    db.close();
  }
}

/** Files beside it that have the text in clear. */
function leaks(file: string): string[] {
  const folder = join(file, '..');
  return readdirSync(folder).filter((name) => readFileSync(join(folder, name)).includes(SECRET));
}

t.test('nothing of an encrypted file is in clear, the log included', (t) => {
  const file = fileIn(t);
  write(file, KEY);
  t.ok(existsSync(`${file}-wal`));
  t.same(leaks(file), []);
  t.same(read(file, KEY), [SECRET]);
  t.equal(readFileSync(`${file}.key-id`, 'utf8'), `${ID}\n`);
  t.end();
});

t.test('another key or none is refused by name, and the file stays as it is', (t) => {
  const file = fileIn(t);
  write(file, KEY);
  const before = readFileSync(file);
  t.throws(() => prepareEncryption(file, null, { option: OPTION, mayChange: true }), {
    name: 'StartRefused',
    exitCode: 78,
    message: `${file} is encrypted with the key ${ID}: set ledger.encryption_key to that key`,
  });
  for (const mayChange of [true, false])
    t.throws(() => prepareEncryption(file, OTHER, { option: OPTION, mayChange }), {
      message: `${file} is encrypted with the key ${ID}, and ledger.encryption_key is the key ${OTHER_ID}`,
    });
  t.same(readFileSync(file), before);
  t.end();
});

t.test('a file in clear is encrypted, with what is in its log', (t) => {
  const file = fileIn(t);
  write(file, null, ['more']);
  t.not(leaks(file).length, 0);
  t.throws(
    () => prepareEncryption(file, KEY, { option: OPTION, mayChange: false }),
    /is not encrypted yet: start/,
  );
  for (const part of ['', '-wal']) writeFileSync(`${file}.kept${part}`, '');
  t.same(read(file, KEY), [SECRET, 'more']);
  t.same(leaks(file), []);
  t.end();
});

t.test('a file in clear that another program has open stays as it is', (t) => {
  const file = fileIn(t);
  const db = openSqlite(file, {}, null);
  db.pragma('journal_mode = WAL');
  db.exec('CREATE TABLE t (text TEXT)');
  t.throws(() => prepareEncryption(file, KEY, { option: OPTION, mayChange: true }), {
    name: 'StartRefused',
    exitCode: 1,
    message: `another process has ${file} open`,
  });
  db.exec(`INSERT INTO t VALUES ('${SECRET}')`);
  db.close();
  t.same(read(file, KEY), [SECRET]);
  t.end();
});

t.test('an encryption that was cut off is completed', (t) => {
  // After the note; after a part of the copy; just before the copy takes its place.
  for (const left of [null, 'half of a copy', KEY]) {
    const file = fileIn(t);
    write(file, null);
    writeFileSync(`${file}.key-id`, `${ID}\n`);
    if (typeof left === 'string') writeFileSync(`${file}.encrypting`, left);
    else if (left !== null) write(`${file}.encrypting`, KEY);
    t.same(read(file, KEY), [SECRET]);
    t.notOk(existsSync(`${file}.encrypting`));
  }
  t.end();
});

t.test('a file without its note needs the key that fits', (t) => {
  const file = fileIn(t);
  write(file, KEY);
  writeFileSync(`${file}.copy`, readFileSync(file));
  t.throws(
    () => prepareEncryption(`${file}.copy`, OTHER, { option: OPTION, mayChange: true }),
    /encryption_key does not open it/,
  );
  t.notOk(existsSync(`${file}.copy.key-id`));
  t.doesNotThrow(() => prepareEncryption(`${file}.copy`, KEY, { option: OPTION, mayChange: true }));
  t.ok(existsSync(`${file}.copy.key-id`));
  t.end();
});
