/**
 * Child of the crash test: a feed whose process dies at its n-th cursor, after the write. Arguments: ledger,
 * file, n.
 */
import { Feed } from '../../../router/feeds/feed.ts';
import { openNdjsonSink } from '../../../router/feeds/sinks/ndjson.ts';
import { openSqliteLedger } from '../../../router/ledger/sqlite/engine.ts';
import { systemClock as clock } from '../../../shared/clock.ts';
import { systemEntropy as entropy } from '../../../shared/entropy.ts';
import { createLogger } from '../../../shared/log.ts';
import { until } from '../../until.ts';

const [ledgerFile = '', feedFile = '', dieAt = ''] = process.argv.slice(2);
const log = createLogger({ level: 'silent', levels: {} });
const ledger = await openSqliteLedger({ file: ledgerFile, clock, log });
const move = ledger.moveFeedPosition.bind(ledger);
let saves = 0;
ledger.moveFeedPosition = async (...arguments_) => {
  saves += 1;
  if (saves === Number(dieAt)) process.kill(process.pid, 'SIGKILL');
  return move(...arguments_);
};
const sink = openNdjsonSink({ file: feedFile }, process.stdout, clock);
await new Feed({ name: 'file', ledger, sink, clock, entropy, log, batchRecords: 10 }).start();
await until('it dies', () => false);
