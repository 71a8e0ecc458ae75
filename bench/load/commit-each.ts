/**
 * aedes on port argv[2] with one commit per publish to the SQLite file argv[3] before its PUBACK: the naive
 * way.
 */
import { createServer } from 'node:net';
import { Aedes } from 'aedes';
import Database from 'better-sqlite3';

const [port, file = ''] = process.argv.slice(2);
const db = new Database(file);
db.pragma('journal_mode = WAL');
db.pragma('synchronous = FULL');
db.exec('CREATE TABLE record (id INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT, payload BLOB)');
db.pragma('synchronous = FULL');
const insert = db.prepare('INSERT INTO record (topic, payload) VALUES (?, ?)');
const aedes = await Aedes.createBroker({
  authorizePublish: (_client, packet, done) => {
    insert.run(packet.topic, packet.payload);
    done(null);
  },
});
createServer({ noDelay: true }, aedes.handle).listen(Number(port), '127.0.0.1');
